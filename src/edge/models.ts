/** The models placed at the edge: they travel with the Worker and answer inside its isolate. */
import config from '../../models/Llama-wick-3M/config.json' with { type: 'json' };
import generationConfig from '../../models/Llama-wick-3M/generation_config.json' with { type: 'json' };
import graph from '../../models/Llama-wick-3M/onnx/model.onnx';
import tokenizer from '../../models/Llama-wick-3M/tokenizer.json' with { type: 'json' };
import tokenizerConfig from '../../models/Llama-wick-3M/tokenizer_config.json' with { type: 'json' };
import { modelRevision, sha256 } from '../generation/revision.ts';

export interface EdgeModel {
  id: string;
  /** When it was made, in Unix seconds. */
  created: number;
  config: object;
  generationConfig: object;
  tokenizer: object;
  tokenizerConfig: object;
  /** The ONNX file. Given up once it is loaded. */
  graph: ArrayBuffer;
}

/** The first is the default: it answers where no model is named, and in the service's place where a caller allows. */
export const edgeModels: readonly EdgeModel[] = [
  {
    id: 'Llama-wick-3M',
    created: Date.UTC(2026, 10, 24) / 1000,
    config,
    generationConfig,
    tokenizer,
    tokenizerConfig,
    graph,
  },
];

const revisions = new Map<EdgeModel, string>();

/** A model's revision, worked out when first asked for. */
export async function revisionOf(model: EdgeModel): Promise<string> {
  const known = revisions.get(model);
  if (known) return known;
  const revision = await modelRevision({ ...model, graph: [await sha256(model.graph)] });
  revisions.set(model, revision);
  return revision;
}
