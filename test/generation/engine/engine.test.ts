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
  model = { ...(await loadModelFolder(folder, { threads: 1 })), contextLength: 96 };
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
});
