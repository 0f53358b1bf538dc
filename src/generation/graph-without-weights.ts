/** How a graph is opened whose weights shall not be in memory twice: whoever opens models reaches it through here. */
export { withoutWeights } from '../graph/rewrites/without-weights.ts';
