import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { createBatchDecoder } from '../../../src/generation/engine/batch-decoder.ts';
import type { Decoder } from '../../../src/generation/engine/decoder.ts';
import { createDraft } from '../../../src/generation/engine/draft.ts';
import { createEngine, type Engine, type EngineOptions } from '../../../src/generation/engine/engine.ts';
import { type GenerateOptions, type GenerationEvent, generate } from '../../../src/generation/generate.ts';
import type { TextModel } from '../../../src/generation/model.ts';
import type { GenerationParameters } from '../../../src/generation/parameters.ts';
import { loadModelFolder } from '../../../src/service/model-folder.ts';

let model: TextModel;
let decoder: Decoder;
beforeAll(async () => {
  const folder = new URL('../../fixtures/families/smollm2', import.meta.url).pathname;
  const steps = (why: string) => {
    throw new Error(why);
  };
  model = { ...(await loadModelFolder(folder, { threads: 1, steps })), contextLength: 96 };
  decoder = createBatchDecoder(model);
});

/** An engine with room for so many tokens. */
const engineFor = (tokens: number, options: Partial<EngineOptions> = {}, of = decoder): Engine =>
  createEngine(of, { contextLength: 96, cacheBytes: tokens * of.bytesPerToken, ...options });

interface Request {
  prompt: number[];
  parameters: Partial<GenerationParameters>;
  /** Rounds of the event loop after which it comes. */
  after: number;
  /** Events after which its reader leaves. */
  leaves?: number;
  options?: Pick<GenerateOptions, 'salt' | 'priority'>;
}

/** The tokens of each choice. */
async function answer(engine: Engine, { prompt, parameters, after, leaves, options }: Request) {
  for (let round = 0; round < after; round++) await new Promise(setImmediate);
  const events: GenerationEvent[] = [];
  const stop = new AbortController();
  const all = generate(model, { tokens: prompt }, parameters, stop.signal, { engine, ...options });
  try {
    for await (const event of all) if (events.push(event) === leaves) stop.abort();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  const tokens: number[][] = Array.from({ length: parameters.n ?? 1 }, () => []);
  for (const event of events) if (event.type === 'delta') tokens[event.index].push(...event.tokens);
  return {
    tokens,
    done: events.at(-1) as Extract<GenerationEvent, { type: 'done' }>,
    left: stop.signal.aborted,
  };
}

const beginning = 'Once upon a time, there was a little fox who lived in the forest. The little fox lived';
const prompts = () => model.tokenizer.encode(beginning);

const parameters = fc.record(
  {
    seed: fc.nat(1000),
    max_tokens: fc.integer({ min: 1, max: 24 }),
    temperature: fc.constantFrom(0, 0, 0.7, 1),
    n: fc.constantFrom(1, 1, 3),
    repetition_penalty: fc.constantFrom(1, 1.3),
    top_p: fc.constantFrom(1, 0.8),
    top_k: fc.constantFrom(0, 5),
    logit_bias: fc.constantFrom<Record<string, number>>({}, { 100: 4 }),
    constraint: fc.constantFrom(null, { type: 'regex', pattern: '( [a-z]+)+' } as const),
  },
  { requiredKeys: ['seed', 'max_tokens'] },
);
const request = fc.record({
  prompt: fc.oneof(
    fc.integer({ min: 1, max: 60 }).map((length) => prompts().slice(0, length)),
    fc.array(fc.integer({ min: 5, max: 200 }), { minLength: 1, maxLength: 40 }),
    fc.array(fc.integer({ min: 100, max: 103 }), { minLength: 20, maxLength: 60 }),
  ),
  parameters,
  after: fc.nat(40),
  leaves: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined, freq: 4 }),
  options: fc.record({ salt: fc.constantFrom('a', 'b'), priority: fc.constantFrom(0, 0, 1) }),
});

it('gives each request the tokens that it gets alone, in any company, with little room, and with speculation', async () => {
  const limits = fc.record({
    room: fc.constantFrom(96, 120, 200, 2000),
    promptTokens: fc.constantFrom(1, 5, 64),
    maxSequences: fc.constantFrom(2, 5, 64),
  });
  let [preemptions, cached, accepted] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 2, maxLength: 10 }),
      limits,
      fc.boolean(),
      async (requests, { room, ...limits }, drafts) => {
        const own = engineFor(300, { lookup: false });
        const draft = drafts ? (salt: string) => createDraft(own, salt) : undefined;
        const engine = engineFor(room, { ...limits, draft });
        const together = await Promise.all(requests.map((each) => answer(engine, each)));
        for (const [i, { tokens, left }] of together.entries()) {
          const { prompt, parameters } = requests[i];
          const alone = await answer(engineFor(2000, { lookup: false }), { prompt, parameters, after: 0 });
          if (left)
            for (const [at, some] of tokens.entries())
              expect(alone.tokens[at].slice(0, some.length)).toEqual(some);
          else expect(tokens).toEqual(alone.tokens);
        }
        const { waiting, running, cache_tokens, prefix_tokens, ...counts } = engine.stats();
        expect({ waiting, running, held: cache_tokens - prefix_tokens }).toEqual({
          waiting: 0,
          running: 0,
          held: 0,
        });
        expect(cache_tokens).toBeLessThanOrEqual(room);
        preemptions += counts.preemptions;
        cached += counts.cached_tokens;
        accepted += counts.accepted_tokens;
      },
    ),
    { numRuns: 20 },
  );
  // All that is claimed has happened.
  expect(Math.min(preemptions, cached, accepted)).toBeGreaterThan(0);
}, 120_000);

it('frees who leaves before the next turn, also in the middle of one, and fails its step with the reason', async () => {
  const engine = engineFor(2000);
  const stays = engine.open();
  const leaving = new AbortController();
  const leaves = engine.open({ signal: leaving.signal });
  await Promise.all([stays.step([5, 6]), leaves.step([7, 8, 9])]);
  expect(engine.stats()).toMatchObject({ running: 2, cache_tokens: 5 });
  const [next, lost] = [stays.step([6]), leaves.step([6])];
  const failed = expect(lost).rejects.toThrow('has gone');
  leaving.abort(new Error('has gone'));
  await failed;
  await next;
  await stays.step([7]);
  expect(engine.stats()).toMatchObject({ running: 1, waiting: 0, cache_tokens: 4 });
  await expect(leaves.step([6])).rejects.toThrow(/closed/);
  stays.close();
  for (let round = 0; round < 30; round++) await new Promise(setImmediate);
  expect(engine.stats()).toMatchObject({ running: 0, cache_tokens: 0 });
});

it('reads a long prompt in pieces between the steps of others, and one prompt for all that begin with it', async () => {
  const steps: number[][] = [];
  const watched = {
    ...decoder,
    step(rows) {
      steps.push(rows.map(({ tokens }) => tokens.length));
      return decoder.step(rows);
    },
  } as Decoder;
  const engine = engineFor(2000, { promptTokens: 8, lookup: false }, watched);
  const short = engine.open();
  await short.step([5]);
  const prompt = Array.from({ length: 65 }, (_, i) => 5 + (i % 40));
  const several = [1, 2, 3].map(() => engine.open());
  const read = Promise.all(several.map((state) => state.step(prompt)));
  for (let i = 0; i < 12; i++) await short.step([6]);
  await read;
  expect(several.map(({ savings }) => savings.cached)).toEqual([0, 64, 64]);
  expect(Math.max(...steps.flat())).toBe(8);
  expect(steps.flat().filter((count) => count > 1)).toHaveLength(8);
  expect(steps.filter((rows) => rows.includes(8) && rows.includes(1)).length).toBeGreaterThan(5);
  // Under another salt nothing is known of it.
  const other = engine.open({ salt: 'other' });
  await other.step(prompt);
  expect(other.savings.cached).toBe(0);
});

it('tells a sequence alone when the graph fails on it, and goes on with the others', async () => {
  const engine = engineFor(2000);
  const [good, bad] = [engine.open(), engine.open()];
  const results = await Promise.allSettled([good.step([5]), bad.step([model.vocabSize + 5])]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(await good.step([6])).toHaveLength(model.vocabSize);
});

it('refuses a cache that holds next to nothing, and a sequence that does not fit', async () => {
  expect(() => engineFor(31)).toThrow(/room for 31 tokens/);
  const engine = engineFor(40);
  expect(engine.contextLength).toBe(40);
  await expect(engine.open().step(new Array(41).fill(5))).rejects.toThrow(/room for 40/);
});
