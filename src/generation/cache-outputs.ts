/** What a decoder's graph gives of its cache, for those who open it. */
export { cacheOutputs } from '../graph/rewrites/cache-outputs.ts';
