/** The tagger of names and addresses inside the isolate: it travels with the Worker and is loaded when a policy needs it. */

import calibration from '../../../models/wick-tagger/calibration.json' with { type: 'json' };
import config from '../../../models/wick-tagger/config.json' with { type: 'json' };
import { proveTagged } from '../../filtering/load-policy.ts';
import type { Policy } from '../../filtering/policy.ts';
import { createTagger, type Tagger } from '../../filtering/tag.ts';
import { createSession, Tensor } from '../onnxruntime.ts';

let loading: Promise<Tagger> | undefined;
const proved = new WeakMap<Policy, Promise<Tagger>>();

/**
 * The tagger, by which the examples of a policy have come true. Rejects if they do not, or it cannot be loaded, and what
 * waits for it is refused; whoever asks next tries again.
 */
export function siteTagger(policy: Policy): Promise<Tagger> {
  const known = proved.get(policy);
  if (known) return known;
  const ready = prove(policy);
  proved.set(policy, ready);
  ready.catch((error: Error) => {
    console.error(`WICK_POLICY: ${error.message}`);
    proved.delete(policy);
    loading = undefined;
  });
  return ready;
}

async function prove(policy: Policy): Promise<Tagger> {
  loading ??= load();
  const tagger = await loading;
  await proveTagged(policy, tagger);
  return tagger;
}

async function load(): Promise<Tagger> {
  // Its bytes are in the isolate's memory only where they are needed.
  const { default: graph } = await import('../../../models/wick-tagger/onnx/model.onnx');
  return createTagger({ config, calibration, session: await createSession(graph), Tensor });
}
