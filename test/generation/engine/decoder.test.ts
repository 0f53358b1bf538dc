import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBatchDecoder } from '../../../src/generation/engine/batch-decoder.ts';
import type { Decoder, Sequence } from '../../../src/generation/engine/decoder.ts';
import { givesSameBits } from '../../../src/generation/engine/same-bits.ts';
import { createDecodingState } from '../../../src/generation/kv-cache.ts';
import type { DecodingModel } from '../../../src/generation/model.ts';
import { readOnnx, writeOnnx } from '../../../src/graph/onnx.ts';
import { decoderGraph, decodingModel, stepGraph, tinyConfig } from '../../fixtures/tiny-decoder.ts';

const LIMIT = tinyConfig.max_position_embeddings;
const vocab = tinyConfig.vocab_size;

const quantize = { bits: 4, head: 8, embedding: 8, block: 32 } as const;
const graphs = [
  { graph: 'float32 weights', config: tinyConfig },
  { graph: '4-bit weights', config: tinyConfig, quantize },
  // Its values are kept in two columns.
  {
    graph: 'heads of 64',
    config: { ...tinyConfig, head_dim: 64, num_attention_heads: 3, num_key_value_heads: 1 },
  },
];
const cases = graphs.flatMap((graph) =>
  [false, true].map((steps) => ({ ...graph, steps, name: steps ? 'step' : 'single' })),
);

/** Bits of numbers, told apart where numbers are not: -0 from 0. */
const bits = (numbers: Float32Array) => Buffer.from(numbers.slice().buffer).toString('base64');
const alone = async (decoder: Decoder, tokens: readonly number[]) => {
  const sequence = decoder.open();
  const logits: string[] = [];
  for (const token of tokens) {
    const [[row]] = await decoder.step([{ sequence, tokens: [token], logits: 1 }]);
    logits.push(bits(row));
  }
  decoder.close(sequence);
  return logits;
};

describe.each(cases)('the $name decoder over $graph', ({ config, quantize, steps }) => {
  let published: DecodingModel;
  let decoder: Decoder;
  beforeAll(async () => {
    const graph = decoderGraph(config, quantize);
    published = await decodingModel(graph, config);
    decoder = createBatchDecoder(steps ? await decodingModel(stepGraph(graph), config) : published);
  });

  const text = (length: number, seed = 1) =>
    Array.from({ length }, (_, i) => (i * 31 + seed * 17 + ((i * i * seed) % 13)) % vocab);

  it('gives the logits of the published graph', async () => {
    const tokens = text(40);
    const expected = await createDecodingState(published).steps(tokens);
    const sequence = decoder.open();
    const [logits] = await decoder.step([{ sequence, tokens, logits: tokens.length }]);
    expect(logits).toHaveLength(tokens.length);
    for (const [i, row] of logits.entries())
      for (const [j, value] of row.entries())
        expect(Math.abs(value - expected[i][j])).toBeLessThan(quantize ? 0.2 : 1e-3);
    decoder.close(sequence);
  });

  it('gives each sequence the same bits in any company and cut into any steps', async () => {
    const plan = fc.array(
      fc.record({
        seed: fc.integer({ min: 1, max: 5 }),
        cuts: fc.array(fc.integer({ min: 1, max: 24 }), { minLength: 1, maxLength: 6 }),
        rest: fc.array(fc.nat({ max: 2 }), { minLength: 6, maxLength: 6 }),
      }),
      { minLength: 1, maxLength: 9 },
    );
    await fc.assert(
      fc.asyncProperty(plan, async (sequences) => {
        const own = sequences.map(({ seed, cuts }) => {
          const length = cuts.reduce((a, b) => a + b, 0);
          return { sequence: decoder.open(), tokens: text(length, seed), got: [] as string[] };
        });
        for (let turn = 0; turn < 6; turn++) {
          const rows = own.flatMap(({ sequence, tokens }, i) => {
            const chunk = tokens.slice(sequence.length, sequence.length + (sequences[i].cuts[turn] ?? 0));
            if (chunk.length === 0) return [];
            return [
              {
                i,
                row: { sequence, tokens: chunk, logits: Math.min(chunk.length, 1 + sequences[i].rest[turn]) },
              },
            ];
          });
          const logits = await decoder.step(rows.map(({ row }) => row));
          for (const [at, { i, row }] of rows.entries()) {
            const { got } = own[i];
            for (let skip = row.tokens.length - row.logits; skip > 0; skip--) got.push('');
            got.push(...logits[at].map(bits));
          }
        }
        for (const { sequence, tokens, got } of own) {
          decoder.close(sequence);
          const expected = await alone(decoder, tokens);
          expect(got).toEqual(expected.map((row, i) => got[i] && row));
        }
      }),
      { numRuns: 12 },
    );
  }, 60_000);

  it('goes on from rows that were read, and from where it was cut', async () => {
    const tokens = text(100, 3);
    const expected = await alone(decoder, tokens);
    const first = decoder.open();
    await decoder.step([{ sequence: first, tokens: tokens.slice(0, 90), logits: 0 }]);
    const rows = [decoder.read(first, 0, 33), decoder.read(first, 33, 70)];
    expect(rows[1]).toMatchObject({ from: 33, count: 37, bytes: 37 * decoder.bytesPerToken });
    const second = decoder.open();
    for (const each of rows) decoder.append(second, each);
    decoder.truncate(first, 65);
    const [[a], [b]] = await decoder.step([
      { sequence: first, tokens: tokens.slice(65, 80), logits: 1 },
      { sequence: second, tokens: tokens.slice(70, 77), logits: 1 },
    ]);
    expect([bits(a), bits(b)]).toEqual([expected[79], expected[76]]);
    expect([first.length, second.length]).toEqual([80, 77]);
    for (const each of [first, second]) decoder.close(each);
  });

  it('refuses what cannot be done, and leaves the sequences as they were', async () => {
    const tokens = text(20);
    const expected = await alone(decoder, [...tokens, 1]);
    const [sequence, other] = [decoder.open(), decoder.open()];
    await decoder.step([{ sequence, tokens, logits: 0 }]);
    const refuse = async (rows: Parameters<Decoder['step']>[0], message: RegExp) =>
      expect(decoder.step(rows)).rejects.toThrow(message);
    await refuse([{ sequence, tokens: [], logits: 0 }], /no tokens/);
    await refuse([{ sequence, tokens: [1], logits: 2 }], /logits of 2/);
    await refuse([{ sequence, tokens: text(LIMIT), logits: 0 }], /holds 256/);
    await refuse(
      [1, 2].map((token) => ({ sequence, tokens: [token], logits: 0 })),
      /two rows/,
    );
    // A token that the table lacks fails in the graph.
    await refuse(
      [
        { sequence: other, tokens: [1], logits: 1 },
        { sequence, tokens: [vocab + 5], logits: 1 },
      ],
      /./,
    );
    expect([sequence.length, other.length]).toEqual([20, 0]);
    expect(() => decoder.read(sequence, 3, 21)).toThrow(/no positions 3 up to 21/);
    expect(() => decoder.read(sequence, -1, 2)).toThrow(/no positions/);
    expect(() => decoder.truncate(sequence, 21)).toThrow(/no positions/);
    const rows = decoder.read(sequence, 4, 20);
    expect(() => decoder.append(other, rows)).toThrow(/cannot follow a sequence of 0/);
    const [[logits]] = await decoder.step([{ sequence, tokens: [1], logits: 1 }]);
    expect(bits(logits)).toBe(expected[20]);
    decoder.close(other);
    decoder.close(other);
    await refuse([{ sequence: other, tokens: [1], logits: 0 }], /closed/);
    expect(() => decoder.read(other, 0, 0)).toThrow(/closed/);
    decoder.close(sequence);
  });

  it('takes a sequence to its last position', async () => {
    const tokens = text(LIMIT);
    const sequence: Sequence = decoder.open();
    await decoder.step([{ sequence, tokens: tokens.slice(0, LIMIT - 1), logits: 0 }]);
    const [[last]] = await decoder.step([{ sequence, tokens: tokens.slice(-1), logits: 1 }]);
    expect(bits(last)).toBe((await alone(decoder, tokens)).at(-1));
    await expect(decoder.step([{ sequence, tokens: [1], logits: 0 }])).rejects.toThrow(/holds 256/);
    decoder.close(sequence);
  });
});

it('tells a graph that computes a token alone otherwise than among others', async () => {
  const decoderOf = async (level: number) => {
    const model = readOnnx(stepGraph(decoderGraph(tinyConfig, quantize)));
    for (const { attribute = [] } of model.graph.node)
      for (const each of attribute) if (each.name === 'accuracy_level') each.i = level;
    return createBatchDecoder(await decodingModel(writeOnnx(model)));
  };
  expect(await givesSameBits(await decoderOf(4))).toBe(true);
  // At this accuracy onnxruntime has a kernel of its own for one row.
  expect(await givesSameBits(await decoderOf(0))).toBe(false);
});
