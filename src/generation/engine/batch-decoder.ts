/** The decoder that fits a model's graph. */
import type { DecodingModel } from '../model.ts';
import type { Decoder } from './decoder.ts';
import { createSingleDecoder } from './single-decoder.ts';

export const createBatchDecoder = (model: DecodingModel): Decoder => createSingleDecoder(model);
