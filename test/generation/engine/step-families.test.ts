import { describe, expect, it } from 'vitest';
import { createBatchDecoder } from '../../../src/generation/engine/batch-decoder.ts';
import { isStepGraph } from '../../../src/graph/rewrites/step-inputs.ts';
import { loadModelFolder } from '../../../src/service/model-folder.ts';
import { families } from '../../fixtures/families.ts';

/** The families whose graphs do not become graphs of steps, and why. */
const left: Record<string, RegExp> = {
  gemma2: /scores go through Tanh/,
  gemma3: /its mask goes through Sub/,
  gpt2: /reads the cache outside of attention/,
  'qwen2-fp16 fp16': /half precision/,
  'qwen2-q4 q4f16': /half precision/,
  'smollm2-q8 quantized': /DynamicQuantizeLinear scales all tokens of a step together/,
};

/** Activations are rounded to 8 bits where weights are of 4. */
const rounded = (variant: string, tolerance: number) => (variant === 'q4' ? 0.2 : tolerance);

describe.each(families.flatMap((family) => family.variants.map((variant) => ({ ...family, variant }))))(
  'the decoder of $name $variant',
  ({ name, folder, variant, reference, tolerance }) => {
    it('computes in chunks and in company what PyTorch does, the same bits as alone', async () => {
      const told: string[] = [];
      const model = await loadModelFolder(folder, { variant, threads: 2, steps: (why) => told.push(why) });
      const why = left[`${name} ${variant}`.trim()];
      if (why) expect(told.join()).toMatch(why);
      else expect(told).toEqual([]);
      expect(isStepGraph(model.session.inputNames)).toBe(!why);
      const decoder = createBatchDecoder(model);
      for (const { ids, from, logits } of reference.prompts) {
        const [alone, cut, other] = [decoder.open(), decoder.open(), decoder.open()];
        const single: Float32Array[] = [];
        for (const token of ids)
          single.push(...(await decoder.step([{ sequence: alone, tokens: [token], logits: 1 }]))[0]);
        const half = Math.ceil(ids.length / 2);
        const chunked: Float32Array[] = [];
        for (const part of [ids.slice(0, half), ids.slice(half)].filter(({ length }) => length > 0)) {
          const [rows] = await decoder.step([
            { sequence: cut, tokens: part, logits: part.length },
            { sequence: other, tokens: part.toReversed(), logits: 1 },
          ]);
          chunked.push(...rows);
        }
        expect(chunked).toEqual(single);
        for (const [i, expected] of logits.entries())
          for (const [j, value] of single[from + i].entries())
            expect(Math.abs(value - expected[j])).toBeLessThanOrEqual(rounded(variant, tolerance(variant)));
        for (const each of [alone, cut, other]) decoder.close(each);
      }
    });
  },
);
