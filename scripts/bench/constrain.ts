/**
 * What a constraint costs: compiling it, and each token under it, beside the same model's tokens without one, measured
 * in turns. The model writes the same number of tokens in both: what a shorter answer would save is not counted.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { constrainAnswer } from '../../src/generation/constraint/constrained-answer.ts';
import type { Constraint } from '../../src/generation/constraint/constraint.ts';
import { generate } from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import type { BenchResult } from '../bench.ts';

const folder = fileURLToPath(new URL('../../models/Llama-wick-3M', import.meta.url));

const person = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    born: { type: 'string', format: 'date' },
    friends: { type: 'array', items: { $ref: '#' } },
  },
  required: ['name', 'age', 'born', 'friends'],
};

/** Each asks for so much that an answer does not end by itself before it has as many tokens as are wanted. */
const constraints: Readonly<Record<string, Constraint>> = {
  'any object': { type: 'json_object' },
  'strings in a list': {
    type: 'json_schema',
    schema: { type: 'array', items: { type: 'string', minLength: 20 }, minItems: 200 },
  },
  'a string of bounded length': {
    type: 'json_schema',
    schema: { type: 'string', minLength: 2000, maxLength: 4000 },
  },
  'people in people': { type: 'json_schema', schema: { type: 'array', items: person, minItems: 100 } },
  pattern: { type: 'regex', pattern: '([A-Z][a-z]{2,8} ){500,}' },
};

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: { rounds: { type: 'string', default: '5' }, tokens: { type: 'string', default: '128' } },
  });
  const [rounds, tokens] = [Number(values.rounds), Number(values.tokens)];
  const model = await loadModelFolder(folder, { threads: 1 });
  await millisecondsPerToken(model, null, tokens);
  const rows: BenchResult['rows'] = [];
  const ratios: number[] = [];
  for (const [name, constraint] of Object.entries(constraints)) {
    // What is compiled is kept under what it is; with a number in it, it is another each time.
    const compiling = Array.from({ length: rounds }, (_, i) => {
      const began = performance.now();
      const own = { ...constraint, unused: i } as unknown as Constraint;
      constrainAnswer(model, own, model.endTokens, tokens);
      return performance.now() - began;
    });
    const free: number[] = [];
    const held: number[] = [];
    for (let round = 0; round < rounds; round++) {
      free.push(await millisecondsPerToken(model, null, tokens));
      held.push(await millisecondsPerToken(model, constraint, tokens));
    }
    const ratio = median(held) / median(free);
    ratios.push(ratio);
    rows.push({
      constraint: name,
      'compile ms': round(median(compiling)),
      'free ms/token': round(median(free)),
      'held ms/token': round(median(held)),
      ratio: round(ratio),
    });
  }
  return {
    rows,
    summary: { ratio: round(median(ratios)), worst_ratio: round(Math.max(...ratios)), tokens, rounds },
  };
}

async function millisecondsPerToken(
  model: TextModel,
  constraint: Constraint | null,
  max_tokens: number,
): Promise<number> {
  const began = performance.now();
  let written = 0;
  const wish = { constraint, max_tokens, temperature: 1, seed: 1, ignore_eos: true };
  for await (const event of generate(model, { text: 'Once upon a time' }, wish))
    if (event.type === 'done') written = event.usage.completion_tokens;
  return (performance.now() - began) / written;
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];
const round = (value: number): number => Math.round(value * 100) / 100;
