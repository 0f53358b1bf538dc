/** The Worker's entry: what the runtime calls. */
import { app } from './app.ts';
import { drawJobs } from './images/queue.ts';

export { ImageFiles } from './images/image-files.ts';
export { ImageJob } from './images/image-job.ts';
export { KeptResponse } from './openai-responses/kept-response.ts';

export default { fetch: app.fetch, queue: drawJobs };
