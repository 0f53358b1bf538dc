/** Proposals of a smaller model with the same tokens. */
import type { TextModel } from '../model.ts';
import { argmax } from '../sampler.ts';
import type { Engine, EngineState } from './engine.ts';
import type { Proposer } from './speculation.ts';

/** How fast the cost is learnt. */
const LEARNING = 0.2;

/** Proposes what a draft model finds likeliest. The drafts of many sequences are computed together, by an engine. */
export function createDraft(engine: Engine, salt: string): Proposer {
  let state: EngineState | undefined;
  let known: readonly number[] = [];
  let cost = 0;
  return {
    get cost() {
      return cost;
    },
    async propose(tokens, most) {
      if (tokens.length + most > engine.contextLength) return [];
      const began = performance.now();
      state ??= engine.open({ salt });
      let length = 0;
      while (length < known.length && length < tokens.length - 1 && known[length] === tokens[length])
        length++;
      state.truncate(length);
      const found: number[] = [];
      let logits = await state.step(tokens.slice(length));
      for (;;) {
        found.push(argmax(logits));
        if (found.length === most) break;
        logits = await state.step(found.slice(-1));
      }
      known = [...tokens, ...found.slice(0, -1)];
      const each = (performance.now() - began) / most;
      cost += (cost === 0 ? 1 : LEARNING) * (each - cost);
      return found;
    },
    close() {
      state?.close();
    },
  };
}

/** Whether each number stands for the same token in both models. */
export function sameTokens(a: TextModel, b: TextModel): boolean {
  if (a.vocabSize !== b.vocabSize) return false;
  const textOf = ({ tokenizer }: TextModel, id: number) => tokenizer.bytesOf(id).join();
  for (let id = 0; id < a.vocabSize; id++) if (textOf(a, id) !== textOf(b, id)) return false;
  return true;
}
