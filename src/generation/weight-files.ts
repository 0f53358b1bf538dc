/** Which files a graph keeps its weights in, for those who open it. */
export { externalFiles, keepsWeightsOf } from '../graph/rewrites/external-data.ts';
