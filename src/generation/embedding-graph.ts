/** What a published model's graph needs before it gives embeddings: whoever opens models reaches it through here. */
export { withHiddenStates } from '../graph/rewrites/hidden-states.ts';
