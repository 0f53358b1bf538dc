/** How a published model's graph is changed before it is opened: whoever opens models reaches it through here. */
export { withHiddenStates } from '../graph/rewrites/hidden-states.ts';
export { type StepFile, stepFile } from '../graph/rewrites/step-graph.ts';
export { isStepGraph } from '../graph/rewrites/step-inputs.ts';
