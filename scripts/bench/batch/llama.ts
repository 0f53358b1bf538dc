/** llama.cpp (node-llama-cpp) writing for several callers at once, in a process of its own: one task in JSON, a line back. */
import { loadLlama } from '../decode/peers.ts';
import { drawing, promptOf, rateOf } from './callers.ts';

export interface LlamaTask {
  gguf: string;
  /** Where node-llama-cpp is installed. */
  peers: string;
  threads: number;
  callers: number;
  prompt: number;
  tokens: number;
  vocabulary: number;
}

const { gguf, peers, threads, callers, prompt, tokens, vocabulary } = JSON.parse(
  process.argv[2],
) as LlamaTask;
const runtime = await loadLlama(peers, threads);
const model = await runtime.loadModel({ modelPath: gguf });
const context = await model.createContext({
  ...{ sequences: callers, contextSize: prompt + tokens + 8, batchSize: 512, threads },
});
const sequences = Array.from({ length: callers }, () => context.getSequence());
await Promise.all(sequences.map((_, i) => write(i, 4)));
const rate = rateOf(await Promise.all(sequences.map((_, i) => write(i, tokens))));
console.log(JSON.stringify(rate));
process.exit(0);

async function write(caller: number, most: number): Promise<number[]> {
  await sequences[caller].clearHistory();
  const times: number[] = [];
  const { temperature, top_k: topK, top_p: topP } = drawing;
  const options = { temperature, topK, topP, seed: caller };
  for await (const _ of sequences[caller].evaluate(promptOf(prompt, caller, vocabulary), options))
    if (times.push(performance.now()) === most) return times;
  throw new Error(`node-llama-cpp ended after ${times.length} tokens.`);
}
