/** The decoder that fits a model's graph. */
import { isStepGraph } from '../../graph/rewrites/step-inputs.ts';
import type { DecodingModel } from '../model.ts';
import type { Decoder } from './decoder.ts';
import { createSingleDecoder } from './single-decoder.ts';
import { createStepDecoder } from './step-decoder.ts';

/** A decoder over a model's session: batches where its graph is one of steps, else one token of one sequence at a time. */
export const createBatchDecoder = (model: DecodingModel): Decoder =>
  isStepGraph(model.session.inputNames) ? createStepDecoder(model) : createSingleDecoder(model);
