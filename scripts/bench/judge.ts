/** What judging a text costs: onnxruntime-node on one thread beside onnxruntime-web, which is what the edge runs. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Classifier, createClassifier } from '../../src/filtering/classify.ts';
import { loadClassifierFolder } from '../../src/service/classifier-folder.ts';
import type { BenchResult } from '../bench.ts';

const folder = fileURLToPath(new URL('../../models/wick-guard', import.meta.url));
const sentence = 'The train leaves at nine, so we meet in front of the station and buy bread on the way. ';
const texts = { 'short text': sentence, 'page of text': sentence.repeat(35) };

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({ args, options: { rounds: { type: 'string', default: '200' } } });
  const rounds = Number(values.rounds);
  const places = { node: await loadClassifierFolder(folder, { threads: 1 }), wasm: await onWasm() };
  const rows: BenchResult['rows'] = [];
  for (const [name, text] of Object.entries(texts)) {
    const times: Record<keyof typeof places, number[]> = { node: [], wasm: [] };
    for (let round = 0; round < rounds; round++) {
      for (const place of ['node', 'wasm'] as const) {
        const began = performance.now();
        await places[place].judge(text);
        times[place].push(performance.now() - began);
      }
    }
    const [node, wasm] = [median(times.node), median(times.wasm)];
    rows.push({ text: name, bytes: text.length, 'node ms': round(node), 'wasm ms': round(wasm) });
  }
  const [short, page] = rows;
  return {
    rows,
    summary: {
      short_ms_node: short['node ms'],
      short_ms_wasm: short['wasm ms'],
      wasm_to_node: round(Number(short['wasm ms']) / Number(short['node ms'])),
      megabytes_per_second_node: round(Number(page.bytes) / Number(page['node ms']) / 1000),
      model_bytes: readFileSync(`${folder}/onnx/model.onnx`).length,
    },
  };
}

async function onWasm(): Promise<Classifier> {
  const ort = await import('onnxruntime-web/wasm');
  Object.assign(ort.env.wasm, { numThreads: 1 });
  const [config, thresholds] = ['config.json', 'thresholds.json'].map(
    (name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as unknown,
  );
  const session = await ort.InferenceSession.create(readFileSync(`${folder}/onnx/model.onnx`), {
    executionProviders: ['wasm'],
  });
  return createClassifier({ config, thresholds, session, Tensor: ort.Tensor });
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];
const round = (value: number): number => Math.round(value * 100) / 100;
