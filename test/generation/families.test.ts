import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type GenerationEvent, generate } from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import { bitsPerByte } from '../../src/generation/scoring.ts';
import { elementTypes } from '../../src/graph/graph.ts';
import { type OnnxModel, readOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { type LoadOptions, loadModelFolder } from '../../src/service/model-folder.ts';
import { run } from '../cli/run-wick.ts';
import { distance, type Family, families, familiesFolder, logitsOf } from '../fixtures/families.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

const open = (folder: string, options: LoadOptions = {}) =>
  loadModelFolder(folder, { threads: 1, ...options });
const opened = ({ folder, variants: [variant] }: Family) => open(folder, { variant });

/** An answer of the likeliest tokens. */
async function answer(model: TextModel, tokens: number[], most: number) {
  const events: GenerationEvent[] = [];
  const exact = { temperature: 0, repetition_penalty: 1, max_tokens: most };
  for await (const event of generate(model, { tokens }, exact)) events.push(event);
  const deltas = events.filter((event) => event.type === 'delta');
  return {
    text: deltas.map(({ text }) => text).join(''),
    tokens: deltas.flatMap((delta) => delta.tokens),
    finish_reason: events.flatMap((event) => (event.type === 'end' ? event.finish_reason : []))[0],
    written: events.flatMap((event) => (event.type === 'done' ? event.usage.completion_tokens : []))[0],
  };
}

const graphs = families.flatMap((family) => family.variants.map((variant) => ({ ...family, variant })));

describe.each(graphs)('$name $variant', ({ folder, variant, tolerance, reference }) => {
  it.each([
    ['whole', Infinity],
    ['a token at a time', 1],
    ['in pieces', 5],
  ])('computes what PyTorch computes, of a prompt %s', async (_, piece) => {
    const model = await open(folder, { variant });
    for (const { ids, logits, from } of reference.prompts) {
      const ours = await logitsOf(model, ids, Math.min(piece, ids.length));
      expect(ours).toHaveLength(ids.length);
      for (const [i, row] of logits.entries()) {
        expect(ours[from + i]).toHaveLength(reference.vocabSize);
        expect(distance(ours[from + i], row)).toBeLessThan(tolerance(variant));
      }
    }
  });
});

describe.each(families)('$name', (family) => {
  const { reference } = family;

  it('reads, writes and converses as in Python', async () => {
    const { tokenizer } = await opened(family);
    for (const { text, ids, decoded } of reference.prompts) {
      expect(tokenizer.encode(text, { special: true })).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(decoded);
      const decoder = tokenizer.streamDecoder();
      expect(ids.map((id) => decoder.push(id)).join('') + decoder.end()).toBe(decoded);
    }
    const { messages, chat, chat_without_prompt } = reference;
    if (messages) {
      expect(tokenizer.applyChatTemplate(messages)).toBe(chat);
      expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: false })).toBe(chat_without_prompt);
    } else {
      const question = [{ role: 'user', content: 'Burns it?' } as const];
      expect(() => tokenizer.applyChatTemplate(question)).toThrow(/no chat template/);
    }
  });

  it('writes what PyTorch finds likeliest, up to where it ends', async () => {
    const model = await opened(family);
    for (const { ids, greedy } of reference.prompts) {
      const { text, tokens, finish_reason, written } = await answer(model, ids, greedy.length);
      const end = greedy.findIndex((id) => model.endTokens.has(id));
      const expected = end < 0 ? greedy : greedy.slice(0, end);
      // Activations of 8 bits may turn a choice that was close; the first is not.
      if (family.variants.includes('quantized')) {
        expect(tokens[0]).toBe(expected[0]);
        continue;
      }
      expect(tokens).toEqual(expected.slice(0, tokens.length));
      expect(text).toBe(model.tokenizer.decode(expected));
      expect(written).toBe(end < 0 ? greedy.length : end + 1);
      expect(finish_reason).toBe(end < 0 ? 'length' : 'stop');
    }
  });
});

it('finds a text as likely in half precision as in float32', async () => {
  const folder = join(familiesFolder, 'qwen2-q4');
  const [exact, half] = await Promise.all(
    ['q4', 'q4f16'].map(async (variant) =>
      bitsPerByte(await open(folder, { variant }), 'The lamp was long. '.repeat(20)),
    ),
  );
  expect(exact.bits_per_byte).toBeGreaterThan(5);
  expect(half.bits_per_byte).not.toBe(exact.bits_per_byte);
  expect(half.bits_per_byte / exact.bits_per_byte).toBeCloseTo(1, 2);
});

describe('what the files of a folder say', () => {
  const end = (name: string, ...tokens: string[]) => [name, tokens] as const;
  it.each([
    end('smollm2', '<|im_end|>'),
    end('llama3', '<|end_of_text|>', '<|eot_id|>'),
    end('qwen3', '<|im_end|>', '<|endoftext|>'),
    end('gpt2', '<|endoftext|>'),
    end('phi3', '<|endoftext|>', '<|end|>'),
    end('gemma2', '<eos>', '<end_of_turn>'),
  ])('%s ends an answer with %j', async (name, tokens) => {
    const model = await open(join(familiesFolder, name));
    expect([...model.endTokens].map((id) => model.tokenizer.tokenOf(id))).toEqual(tokens);
  });

  it('is what the makers recommend', async () => {
    const { defaults } = await open(join(familiesFolder, 'qwen2-fp16'), { variant: 'fp16' });
    expect(defaults).toEqual({ temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.1 });
  });
});

it('are listed, and written with, on the command line', async () => {
  const { stdout } = await run(['models', '--models', familiesFolder]);
  for (const line of [
    /^llama3 {2}LlamaForCausalLM.*\n {2}onnx\/model\.onnx {2}fp32 {2}20\d\.\d KiB$/m,
    /^gpt2 {2}GPT2LMHeadModel, .*272 tokens of vocabulary, 64 tokens of context, /m,
    /^qwen2-q4 .*\n {2}onnx\/model_q4\.onnx {2}q4 .*\n {2}onnx\/model_q4f16\.onnx {2}q4, the rest fp16 /m,
  ])
    expect(stdout).toMatch(line);
  const folder = join(familiesFolder, 'gemma3');
  const { tokenizer } = await open(folder);
  const [{ text, greedy }] = families.find(({ name }) => name === 'gemma3')!.reference.prompts;
  const said = await run([
    ...['generate', text, '--model', folder, '--temperature', '0'],
    ...['--max-tokens', `${greedy.length}`, '--json'],
  ]);
  expect(JSON.parse(said.stdout)).toMatchObject({ model: 'gemma3', text: tokenizer.decode(greedy) });
});

describe('what is not right is told with the file that it is in', () => {
  const copy = (name: string): string => {
    const folder = join(temporaryFolder(), name);
    cpSync(join(familiesFolder, name), folder, { recursive: true });
    return folder;
  };
  const change = (name: string, file: string, edit: (bytes: Buffer) => Uint8Array | string): string => {
    const folder = copy(name);
    writeFileSync(join(folder, file), edit(readFileSync(join(folder, file))));
    return folder;
  };
  const changeJson = (file: string, changed: object): string =>
    change('smollm2', file, (bytes) => JSON.stringify({ ...JSON.parse(bytes.toString()), ...changed }));
  const changeGraph = (edit: (model: OnnxModel) => void): string =>
    change('smollm2', 'onnx/model.onnx', (bytes) => {
      const model = readOnnx(bytes);
      edit(model);
      return writeOnnx(model);
    });

  it('where weights lie beside the graph', async () => {
    const folder = copy('llama3');
    truncateSync(join(folder, 'onnx/model.onnx_data_1'), 3000);
    await expect(open(folder)).rejects.toThrow(
      /model\.onnx_data_1 is cut short: it has 3000 bytes.* keeps \d{5}/,
    );
    rmSync(join(folder, 'onnx/model.onnx_data_1'));
    await expect(open(folder)).rejects.toThrow(/onnx\/model\.onnx_data_1 is missing/);
  });

  it('where the graph is none', async () => {
    const part = change('smollm2', 'onnx/model.onnx', (bytes) => bytes.subarray(0, 90_000));
    await expect(open(part)).rejects.toThrow(/onnx\/model\.onnx is not an ONNX graph.* 90000 bytes/);
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 138659\n';
    const pointing = change('smollm2', 'onnx/model.onnx', () => pointer);
    await expect(open(pointing)).rejects.toThrow(/onnx\/model\.onnx only points to a file.*wick pull/);
    expect((await open(copy('qwen2-fp16'))).vocabSize).toBe(280);
    await expect(open(copy('qwen2-q4'))).rejects.toThrow(/lacks onnx\/model\.onnx; it has model_q4\.onnx/);
  });

  it('where the graph is of another kind', async () => {
    const typed = (name: string, type: keyof typeof elementTypes) =>
      changeGraph(({ graph }) => {
        const output = graph.output.find((each) => each.name === name)!;
        output.type.tensorType.elemType = elementTypes[type];
        const inner = `${name}:before`;
        for (const node of graph.node)
          node.output = node.output.map((each) => (each === name ? inner : each));
        const to = { name: 'to', type: 2, i: elementTypes[type] };
        graph.node.push({ name: 'cast', opType: 'Cast', input: [inner], output: [name], attribute: [to] });
      });
    await expect(open(typed('logits', 'int32'))).rejects.toThrow(/smollm2 gives logits of int32/);
    const renamed = changeGraph(({ graph }) => {
      const other = (name: string) => (name === 'position_ids' ? 'token_type_ids' : name);
      for (const value of graph.input) value.name = other(value.name);
      for (const node of graph.node) node.input = node.input?.map(other);
    });
    await expect(open(renamed)).rejects.toThrow(/smollm2 takes "token_type_ids", which wick has nothing for/);
  });

  it.each([
    ['config.json', { vocab_size: undefined }, /config\.json of smollm2 lacks vocab_size/],
    ['config.json', { max_position_embeddings: undefined }, /config\.json .* lacks max_position_embeddings/],
    ['config.json', { vocab_size: '272' }, /config\.json .* has "272" as vocab_size: .* whole number/],
    ['config.json', { vocab_size: 300 }, /logits of 272 tokens, and its config\.json has 300/],
    ['generation_config.json', { eos_token_id: '</s>' }, /generation_config\.json .* eos_token_id/],
    ['tokenizer.json', { model: undefined }, /tokenizer\.json of smollm2 is not a tokenizer/],
  ])('where %s has %j', async (file, changed, sentence) => {
    await expect(open(changeJson(file, changed))).rejects.toThrow(sentence);
  });

  it('where a file is no JSON object', async () => {
    const list = change('smollm2', 'config.json', () => '[]');
    await expect(open(list)).rejects.toThrow(/config\.json has to be a JSON object/);
  });
});
