/** The thread in which one image model draws, as the thread that answers requests must not. */
import { workerData } from 'node:worker_threads';
import { drawImage } from '../generation/image/pipeline.ts';
import { imageSigner } from './image-credentials.ts';
import { serveDrawings } from './image-drawing.ts';
import { loadImageFolder } from './image-folder.ts';
import type { ImageWorkerStart } from './image-messages.ts';

const { folder, credentials, ...options } = workerData as ImageWorkerStart;
await serveDrawings(
  () => loadImageFolder(folder, options),
  drawImage,
  credentials && (() => imageSigner(credentials)),
);
