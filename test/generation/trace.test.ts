import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { requestTrace as requestTraceSchema, tokenTrace } from '../../src/api/trace.ts';
import {
  type GenerateOptions,
  type GenerationEvent,
  type GenerationInput,
  generate,
} from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import { defaultParameters, type GenerationParameters } from '../../src/generation/parameters.ts';
import { createSampler } from '../../src/generation/sampler.ts';
import type { RequestTrace, TokenTrace } from '../../src/generation/trace.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';

let model: TextModel;
beforeAll(async () => {
  model = await loadModelFolder(new URL('../../models/Llama-wick-3M', import.meta.url).pathname, {
    threads: 1,
  });
});

async function traced(
  input: GenerationInput,
  parameters: Partial<GenerationParameters>,
  options: GenerateOptions = { trace: { candidates: 20 } },
) {
  const events: GenerationEvent[] = [];
  for await (const event of generate(model, input, parameters, undefined, options)) events.push(event);
  const of = (index: number): TokenTrace[] =>
    events.flatMap((event) => (event.type === 'trace' && event.index === index ? event.tokens : []));
  const done = events.at(-1) as Extract<GenerationEvent, { type: 'done' }>;
  return { events, of, request: done.trace as RequestTrace, timings: done.timings };
}

/** Everything that can be on. */
const parameters = fc.record(
  {
    seed: fc.nat(1000),
    temperature: fc.constantFrom(0, 0.5, 1, 1.8),
    repetition_penalty: fc.constantFrom(1, 1.3),
    presence_penalty: fc.constantFrom(0, 0.7),
    dry_multiplier: fc.constantFrom(0, 0.8),
    logit_bias: fc.constantFrom<Record<string, number>>({}, { 300: 5 }),
    top_k: fc.constantFrom(0, 1, 12),
    typical_p: fc.constantFrom(1, 0.6),
    top_p: fc.constantFrom(1, 0.7),
    min_p: fc.constantFrom(0, 0.1),
    xtc_probability: fc.constantFrom(0, 0.5),
    mirostat: fc.constantFrom(0, 2),
    min_tokens: fc.constantFrom(0, 4),
  },
  { requiredKeys: ['seed'] },
);

it('what each step leaves sums to 1, and holds the token that is taken', () => {
  const logits = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 301, maxLength: 400 });
  fc.assert(
    fc.property(logits, parameters, (values, given) => {
      const sums: number[] = [];
      const left: Set<number>[] = [];
      const sampler = createSampler(
        { ...defaultParameters, ...given },
        [1, 2, 1, 2, 3],
        undefined,
        (_, step) => {
          const ids = step.ids.subarray(0, step.count);
          const kept = step.logits.subarray(0, step.count);
          const largest = Math.max(...kept);
          const total = kept.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
          sums.push(kept.reduce((sum, logit) => sum + Math.exp(logit - largest) / total, 0));
          left.push(new Set(ids));
        },
      );
      const token = sampler.next(Float32Array.from(values));
      for (const sum of sums) expect(sum).toBeCloseTo(1, 5);
      for (const set of left) expect(set.has(token)).toBe(true);
      // Watching changes nothing.
      const unwatched = createSampler({ ...defaultParameters, ...given }, [1, 2, 1, 2, 3]);
      expect(unwatched.next(Float32Array.from(values))).toBe(token);
    }),
  );
});

it('tells of each token its rank, its probabilities and the steps that are on, as the logprobs of the same request', async () => {
  await fc.assert(
    fc.asyncProperty(parameters, async (given) => {
      const asked = {
        ...given,
        max_tokens: 6,
        top_logprobs: 20,
        logit_bias: { ...given.logit_bias, 2: -100 },
      };
      const { of, events } = await traced({ text: 'The cat sat on' }, asked);
      const logprobs = events.flatMap((event) => (event.type === 'delta' ? event.logprobs! : []));
      const tokens = of(0);
      expect(tokens.map(({ id }) => id)).toEqual(logprobs.map(({ id }) => id));
      for (const [i, token] of tokens.entries()) {
        const { steps, rank, entropy } = tokenTrace.parse(token);
        const [own, ...others] = steps;
        expect(own).toMatchObject({ name: 'model', left: model.vocabSize });
        expect(own.candidates.map(({ id }) => id)).toEqual(logprobs[i].top.map(({ id }) => id));
        for (const [place, { probability }] of own.candidates.entries())
          expect(Math.log(probability)).toBeCloseTo(logprobs[i].top[place].logprob!, 3);
        expect(Math.log(own.taken)).toBeCloseTo(logprobs[i].logprob!, 3);
        const place = own.candidates.findIndex(({ id }) => id === token.id);
        expect(place < 0 ? rank > 20 : rank === place + 1).toBe(true);
        expect(entropy).toBeGreaterThanOrEqual(0);
        expect(entropy).toBeLessThanOrEqual(Math.log(model.vocabSize));
        expect(others.map(({ name }) => name)).toContain('temperature');
        expect(others.map(({ name }) => name).includes('top_k')).toBe(
          (given.top_k ?? 0) > 0 && given.mirostat !== 2 && given.temperature !== 0,
        );
        for (const { taken, candidates, left } of steps) {
          expect(taken).toBeGreaterThan(0);
          const sum = candidates.reduce((all, { probability }) => all + probability, 0);
          expect(sum).toBeLessThan(1 + 1e-4);
          if (left <= 20) expect(sum).toBeCloseTo(1, 3);
        }
      }
    }),
    { numRuns: 12 },
  );
});

describe('of the answer as a whole', () => {
  it('tells what is needed to make it again, the seed that was drawn too', async () => {
    const first = await traced(
      { messages: [{ role: 'user', content: 'Tell a story.' }] },
      { max_tokens: 8, n: 2 },
    );
    const { prompt, parameters, ran, revision, filters, whole } = requestTraceSchema.parse(first.request);
    expect(revision).toBe(model.revision);
    expect(parameters).toMatchObject({ max_tokens: 8, top_p: 0.9, n: 2, seed: expect.any(Number) });
    expect(Object.keys(parameters).sort()).toEqual(Object.keys(defaultParameters).sort());
    expect(ran).toMatchObject({ place: 'local', provider: 'cpu', threads: 1 });
    expect(ran.runtime).toMatch(/^onnxruntime-node \d/);
    expect(prompt.map(({ text }) => text).join('')).toBe('<s>Tell a story.<start>');
    expect({ filters, whole }).toEqual({ filters: [], whole: true });
    const again = await traced({ tokens: prompt.map(({ id }) => id) }, parameters);
    for (const index of [0, 1])
      expect(again.of(index).map(({ id }) => id)).toEqual(first.of(index).map(({ id }) => id));
    const other = await traced({ text: 'Once' }, { max_tokens: 8 });
    expect(other.request.parameters.seed).not.toBe(parameters.seed);
  });

  it('times its parts in an order that can be', async () => {
    const { timings } = await traced({ text: 'Once' }, { max_tokens: 4 }, { queue: 7 });
    expect(timings.queue).toBe(7);
    expect(timings.first_token).toBeGreaterThanOrEqual(7 + timings.tokenize);
    expect(timings.total).toBeGreaterThanOrEqual(timings.first_token);
  });

  it('tells of the token that ends it, and of those of a stop string', async () => {
    const [end] = model.endTokens;
    const ended = await traced({ text: 'Once' }, { max_tokens: 4, logit_bias: { [end]: 100 } });
    expect(ended.of(0).map(({ id }) => id)).toEqual([end]);
    const text = ' upon';
    const stopped = await traced({ text: 'Once' }, { max_tokens: 6, temperature: 0, stop: [text] });
    expect(stopped.of(0).map((token) => token.text)).toEqual([text]);
    expect(stopped.events.some(({ type }) => type === 'delta')).toBe(false);
  });

  it('tells no more candidates than fit, and all tokens', async () => {
    const most = {
      ...{ max_tokens: 60, n: 2, top_k: 100, top_p: 0.99, typical_p: 0.999, min_p: 0.0001, ignore_eos: true },
      ...{ repetition_penalty: 1.01, presence_penalty: 0.01, dry_multiplier: 0.01, logit_bias: { 300: 0.1 } },
    };
    const { of, request } = await traced({ text: 'Once' }, most);
    const all = [...of(0), ...of(1)];
    expect(all).toHaveLength(120);
    expect(all.at(-1)!.steps).toEqual([]);
    const told = all.flatMap(({ steps }) => steps.flatMap(({ candidates }) => candidates)).length;
    expect(told).toBeGreaterThan(19_000);
    expect(told).toBeLessThanOrEqual(20_000);
    expect(request.whole).toBe(false);
  });

  it('is not there where it was not asked for', async () => {
    const { events, request } = await traced({ text: 'Once' }, { max_tokens: 4 }, {});
    expect(request).toBeUndefined();
    expect(events.some(({ type }) => type === 'trace')).toBe(false);
  });
});

it('gives all text back where an answer ends behind the beginning of a stop string', async () => {
  const { of, events } = await traced({ text: 'Once upon a time' }, { max_tokens: 5, temperature: 0 });
  const text = of(0)
    .map((token) => token.text)
    .join('');
  // The last character could begin a stop string, and the answer is over before that is known.
  const held = await traced(
    { text: 'Once upon a time' },
    { max_tokens: 5, temperature: 0, stop: [`${text.at(-1)}@`] },
  );
  const said = (list: GenerationEvent[]) =>
    list.map((event) => (event.type === 'delta' ? event.text : '')).join('');
  expect(said(events)).toBe(text);
  expect(said(held.events)).toBe(text);
});
