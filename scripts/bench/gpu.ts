/**
 * What a device does with wick's graphs, each rate over what the device could do: products of matrices, decoding and
 * prefill of batches, training, drawing. The limits are measured on it, or given: `--tflops 67 --bandwidth 3350` are an
 * H100's in float32. `--shape small` and few rounds are for software adapters.
 */
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseDevice, type Device, devices } from '../../src/cli/device.ts';
import type { BenchResult } from '../bench.ts';
import { decoderBench, shapeNames } from './gpu/decoder.ts';
import { memoryRate, multiplyRate } from './gpu/limits.ts';
import { run as drawing } from './image.ts';
import { run as training } from './train.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      device: { type: 'string', default: 'auto' },
      shape: { type: 'string', default: 'smollm2' },
      batches: { type: 'string', default: '1,8,64' },
      context: { type: 'string', default: '512' },
      rounds: { type: 'string', default: '5' },
      size: { type: 'string', default: '2048' },
      tflops: { type: 'string' },
      bandwidth: { type: 'string' },
      training: { type: 'string', default: 'models/Llama-wick-3M/training.json' },
      steps: { type: 'string' },
    },
  });
  const shape = shapeNames.find((name) => name === values.shape);
  if (!shape) throw new Error(`There is no shape "${values.shape}". There is: ${shapeNames.join(', ')}.`);
  if (!devices.includes(values.device as Device))
    throw new Error(`There is no device "${values.device}". There is: ${devices.join(', ')}.`);
  const device = await chooseDevice(values.device as Device, (line) => console.error(line));
  const [context, rounds] = [Number(values.context), Number(values.rounds)];

  const multiply = await multiplyRate(device, Number(values.size), rounds);
  const memory = await memoryRate(device, 256, rounds);
  const flops = values.tflops ? Number(values.tflops) * 1e12 : multiply;
  const bytes = values.bandwidth ? Number(values.bandwidth) * 1e9 : memory;
  const rows: BenchResult['rows'] = [];
  const summary: BenchResult['summary'] = {};
  const tell = (what: string, key: string, rate: number, unit: string, limit: number) => {
    rows.push({ what, rate: digits(rate), unit, limit: digits(limit), 'of limit': digits(rate / limit) });
    summary[key] = digits(rate);
    summary[`${key}_of_limit`] = digits(rate / limit);
  };
  tell('products of matrices, float32', 'gemm_gflops', multiply / 1e9, 'GFLOP/s', flops / 1e9);
  tell('memory, read and written', 'memory_gbs', memory / 1e9, 'GB/s', bytes / 1e9);

  const decoder = await decoderBench(shape, device, `${root}.wick/bench/gpu`);
  const { parameters, cacheBytesPerToken } = decoder;
  for (const batch of values.batches.split(',').map(Number)) {
    // A step reads all weights once, and of each sequence its keys and values.
    const read = 4 * parameters + batch * context * cacheBytesPerToken;
    const step = Math.max(read / bytes, (2 * parameters * batch) / flops);
    const decode = batch / (await decoder.decode(batch, context, rounds));
    tell(`decoding, ${batch} at once`, `decode_${batch}`, decode, 'tokens/s', batch / step);
    const prefill = (batch * context) / (await decoder.prefill(batch, context, Math.min(rounds, 3)));
    tell(`prefill, ${batch} at once`, `prefill_${batch}`, prefill, 'tokens/s', flops / (2 * parameters));
  }

  const given = ['--device', device, '--rounds', String(rounds)];
  const trained = await training({ args: ['--config', values.training, ...given] });
  const { tokens_per_second: tokens, parameters: weights } = trained.summary as Record<string, number>;
  tell('training', 'training', tokens, 'tokens/s', flops / (6 * weights));

  const drawn = await drawing({
    args: [
      '--device',
      device,
      '--memory',
      '0',
      '--counts',
      '1',
      ...(values.steps ? ['--steps', values.steps] : []),
    ],
  });
  const { images_per_second_n1: images, steps } = drawn.summary as Record<string, number>;
  tell('drawing', 'images', images, 'images/s', flops / drawingFlops(steps));
  return { rows, summary: { ...summary, device, shape, context, parameters } };
}

/** Operations of an image of wick-draw: its denoiser for each patch, in each step with a prompt and without one. */
function drawingFlops(steps: number): number {
  const folder = `${root}models/wick-draw/transformer`;
  const { sample_size, patch_size } = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as {
    sample_size: number;
    patch_size: number;
  };
  const parameters = statSync(`${folder}/model.onnx`).size / 4;
  return 2 * parameters * (sample_size / patch_size) ** 2 * 2 * steps;
}

/** Three digits that count. */
const digits = (value: number): number => Number(value.toPrecision(3));
