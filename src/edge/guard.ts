/** The classifier of texts inside the isolate: it travels with the Worker and is loaded when first asked for. */
import config from '../../models/wick-guard/config.json' with { type: 'json' };
import graph from '../../models/wick-guard/onnx/model.onnx';
import thresholds from '../../models/wick-guard/thresholds.json' with { type: 'json' };
import { type Classifier, createClassifier } from '../filtering/classify.ts';
import { macrotask } from '../generation/macrotask.ts';
import { loadUsual } from './isolate.ts';
import { createSession, Tensor } from './onnxruntime.ts';

let loading: Promise<Classifier> | undefined;

/** The classifier. Rejects if it cannot be loaded; whoever asks next tries again. */
export function guard(): Promise<Classifier> {
  if (!loading) {
    loading = load();
    loading.catch(() => {
      loading = undefined;
    });
  }
  return loading;
}

async function load(): Promise<Classifier> {
  // The runtime's memory only grows, by a fifth at a time: what needs most of it goes first.
  await loadUsual();
  const session = await createSession(graph);
  return createClassifier({ config, thresholds, session, Tensor, pause: macrotask });
}
