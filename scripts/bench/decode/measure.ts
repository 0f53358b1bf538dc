/** One engine's times at one task, in a process of its own: `measure.ts ENGINE MODEL TASK`, answered in JSON. */
import { createBatchDecoder } from '../../../src/generation/engine/batch-decoder.ts';
import { loadModelFolder } from '../../../src/service/model-folder.ts';
import { loadLlama } from './peers.ts';

export interface Task {
  engine: 'wick' | 'transformers' | 'llama';
  /** The ONNX folder or the GGUF file. */
  model: string;
  /** Where node-llama-cpp is installed. */
  peers: string;
  threads: number;
  /** Tokens of the prompt, and those written after it. */
  prompt: number;
  tokens: number;
  /** How often. */
  rounds: number;
  vocab: number;
}

/** Milliseconds of each prompt, and of each token. */
export interface Times {
  prefill: number[];
  token: number[];
}

type Engine = (prompt: readonly number[], times: Times) => Promise<void>;

const task = JSON.parse(process.argv[2]) as Task;
const engines: Record<Task['engine'], () => Promise<Engine>> = { wick, transformers, llama };
const run = await engines[task.engine]();
const prompt = Array.from({ length: task.prompt }, (_, i) => (i * 7919 + 1) % (task.vocab - 1));
await run(prompt, { prefill: [], token: [] });
const times: Times = { prefill: [], token: [] };
for (let round = 0; round < task.rounds; round++) await run(prompt, times);
console.log(JSON.stringify(times));
process.exit(0);

async function wick(): Promise<Engine> {
  const model = await loadModelFolder(task.model, {
    ...{ variant: 'q4', threads: task.threads },
    steps: (why) => {
      throw new Error(why);
    },
  });
  const decoder = createBatchDecoder(model);
  return async (prompt, times) => {
    const sequence = decoder.open();
    let tokens = [...prompt];
    for (let i = 0; i <= task.tokens; i++) {
      const began = performance.now();
      const [[logits]] = await decoder.step([{ sequence, tokens, logits: 1 }]);
      tokens = [likeliest(logits)];
      times[i === 0 ? 'prefill' : 'token'].push(performance.now() - began);
    }
    decoder.close(sequence);
  };
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

async function transformers(): Promise<Engine> {
  const { AutoModelForCausalLM, Tensor } = await import('@huggingface/transformers');
  const model = await AutoModelForCausalLM.from_pretrained(task.model, {
    ...{ dtype: 'q4', device: 'cpu', local_files_only: true },
    session_options: { intraOpNumThreads: task.threads },
  });
  return async (prompt, times) => {
    const shape = [1, prompt.length];
    let last = performance.now();
    let count = -1;
    await model.generate({
      inputs: new Tensor('int64', BigInt64Array.from(prompt, BigInt), shape),
      attention_mask: new Tensor('int64', new BigInt64Array(prompt.length).fill(1n), shape),
      generation_config: { max_new_tokens: task.tokens + 1, do_sample: false, eos_token_id: null } as never,
      streamer: {
        // The prompt comes first, then each token.
        put() {
          const now = performance.now();
          if (count >= 0) times[count === 0 ? 'prefill' : 'token'].push(now - last);
          count++;
          last = now;
        },
        end() {},
      } as never,
    });
  };
}

async function llama(): Promise<Engine> {
  const runtime = await loadLlama(task.peers, task.threads);
  const model = await runtime.loadModel({ modelPath: task.model });
  const context = await model.createContext({
    ...{ contextSize: 2 * task.prompt, batchSize: task.prompt, threads: task.threads },
  });
  const sequence = context.getSequence();
  return async (prompt, times) => {
    await sequence.clearHistory();
    let last = performance.now();
    let count = 0;
    for await (const _ of sequence.evaluate([...prompt], { temperature: 0 })) {
      const now = performance.now();
      times[count === 0 ? 'prefill' : 'token'].push(now - last);
      last = now;
      if (++count > task.tokens) break;
    }
    if (count <= task.tokens) throw new Error(`node-llama-cpp ended after ${count} tokens.`);
  };
}
