import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { latestCheckpoint, listCheckpoints, loadCheckpoint } from '../../src/training/checkpoint.ts';
import { exportModel } from '../../src/training/export.ts';
import { readMetrics } from '../../src/training/metrics.ts';
import { train } from '../../src/training/trainer.ts';
import { temporaryFolder, tinyDataset, tinyTraining } from '../fixtures/tiny.ts';

const wick = new URL('../../src/cli/wick.js', import.meta.url).pathname;

let data: string;
beforeAll(async () => {
  data = await tinyDataset();
});

const losses = (folder: string) =>
  readMetrics(folder).map(({ step, loss, validation_loss }) => ({
    step,
    loss,
    validation_loss,
  }));

describe('train', () => {
  it.each([{ optimizer: 'adamw' }, { optimizer: 'muon' }, { gradient_accumulation_steps: 2 }])(
    'learns with %o',
    async (changes) => {
      const out = temporaryFolder();
      const result = await train(
        tinyTraining(data, out, {
          max_steps: 60,
          evaluate_every: 30,
          ...changes,
        }),
        { threads: 1 },
      );
      const [first] = readMetrics(out);
      expect(first.loss).toBeCloseTo(Math.log(400), 0);
      expect(result.validation_loss).toBeLessThan(first.loss - 2);
      expect(result.validation_bits_per_byte).toBeGreaterThan(0);
      expect(statSync(join(out, 'loss.png')).size).toBeGreaterThan(1000);
    },
  );

  it('sums the parts of a batch to the same step as the whole batch', async () => {
    const [whole, parts] = [temporaryFolder(), temporaryFolder()];
    await train(tinyTraining(data, whole, { max_steps: 5, batch_size: 4 }), {
      threads: 1,
    });
    await train(
      tinyTraining(data, parts, {
        max_steps: 5,
        batch_size: 2,
        gradient_accumulation_steps: 2,
      }),
      { threads: 1 },
    );
    const [a, b] = [losses(whole), losses(parts)];
    for (const [i, { loss }] of a.entries()) expect(b[i].loss).toBeCloseTo(loss, 3);
  });

  it('begins with the weights of a model that was exported, and refuses those of another', async () => {
    const [first, folder, second] = [temporaryFolder(), join(temporaryFolder(), 'tiny'), temporaryFolder()];
    const before = await train(tinyTraining(data, first, { max_steps: 40 }), { threads: 1 });
    await exportModel(first, folder);
    const again = (changes: object) =>
      train(
        tinyTraining(data, second, { initial_model: folder, max_steps: 3, learning_rate: 1e-6, ...changes }),
        { threads: 1 },
      );
    expect((await again({})).validation_loss).toBeCloseTo(before.validation_loss!, 3);
    const { model } = tinyTraining(data, second) as { model: object };
    const out = temporaryFolder();
    await expect(again({ out, model: { ...model, intermediate_size: 48 } })).rejects.toThrow(
      /needs the parameter "model\.layers\.0\.mlp\.gate_up_proj\.weight" as \[32, 96\]; .* has it as \[32, 128\]/,
    );
    await expect(again({ out, initial_model: first })).rejects.toThrow(/holds no model\.onnx/);
  });

  it('goes on after SIGKILL to the same losses, bit for bit', async () => {
    const [straight, killed] = [temporaryFolder(), temporaryFolder()];
    const steps = { max_steps: 40, checkpoint_every: 3 };
    await train(tinyTraining(data, straight, steps), { threads: 1 });
    const config = join(killed, 'config-given.json');
    writeFileSync(config, JSON.stringify(tinyTraining(data, killed, steps)));
    let kills = 0;
    for (const killAt of [5, 17, 30]) {
      const child = spawn(process.execPath, [wick, 'train', config, '--threads', '1', '--json'], {
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.on('exit', resolve));
      const watch = setInterval(() => {
        if ((readMetrics(killed).at(-1)?.step ?? 0) >= killAt && child.kill('SIGKILL')) clearInterval(watch);
      }, 2);
      await ended;
      clearInterval(watch);
      if (child.signalCode === 'SIGKILL') kills++;
    }
    expect(kills).toBeGreaterThan(0);
    await train(tinyTraining(data, killed, steps), { threads: 1 });
    expect(losses(killed)).toEqual(losses(straight));
    const tensors = (folder: string) => [...loadCheckpoint(latestCheckpoint(folder)!).tensors.values()];
    expect(tensors(killed)).toEqual(tensors(straight));
  });

  it('says which checkpoint is broken and which is good', async () => {
    const out = temporaryFolder();
    await train(tinyTraining(data, out), { threads: 1 });
    const broken = latestCheckpoint(out)!;
    truncateSync(broken, statSync(broken).size - 100);
    const good = join(out, 'checkpoint-0000008.safetensors');
    await expect(train(tinyTraining(data, out, { max_steps: 20 }), { threads: 1 })).rejects.toThrow(
      /cannot be read: .*checkpoint-0000012.* The one before is .*checkpoint-0000008/s,
    );
    const result = await train(tinyTraining(data, out, { max_steps: 14 }), {
      threads: 1,
      resume: good,
    });
    expect(result.steps).toBe(14);
  });

  it('stops at a loss that is no number and keeps the last good checkpoint', async () => {
    const out = temporaryFolder();
    const wild = {
      learning_rate: 10,
      max_grad_norm: 1e30,
      weight_decay: 10,
      warmup_steps: 0,
      max_steps: 400,
      checkpoint_every: 1,
    };
    await expect(train(tinyTraining(data, out, wild), { threads: 1 })).rejects.toThrow(
      /training has come apart.*last good checkpoint is/,
    );
    const { tensors } = loadCheckpoint(latestCheckpoint(out)!);
    for (const { data } of tensors.values()) expect(data.every(Number.isFinite)).toBe(true);
  });

  it('keeps the checkpoint before when the disk is full', async () => {
    if (!existsSync('/dev/full')) return;
    const { writeSafetensors, readSafetensors } = await import('../../src/training/safetensors.ts');
    const folder = temporaryFolder();
    const path = join(folder, 'weights.safetensors');
    const tensor = (value: number) => [{ name: 'a', shape: [2], data: Float32Array.of(value, value) }];
    writeSafetensors(path, tensor(1));
    const { symlinkSync } = await import('node:fs');
    symlinkSync('/dev/full', `${path}.partial`);
    expect(() => writeSafetensors(path, tensor(2))).toThrow(/the disk is full/);
    expect(readSafetensors(path).tensors.get('a')!.data).toEqual(Float32Array.of(1, 1));
  });

  it('ends after its step when asked to, with a checkpoint', async () => {
    const out = temporaryFolder();
    const stop = new AbortController();
    const result = await train(tinyTraining(data, out, { max_steps: 1000, checkpoint_every: 1000 }), {
      threads: 1,
      signal: stop.signal,
      onProgress: ({ step }) => step === 3 && stop.abort(),
    });
    expect(result.steps).toBe(3);
    expect(listCheckpoints(out).at(-1)).toBe(3);
  });

  it.each([
    [{ batch_size: 0 }, /batch_size/],
    [{ unknown: 1 }, /unknown/i],
    [{ model: { vocab_size: 10 } }, /hidden_size/],
    [{ sequence_length: 4096 }, /longer than the model/],
    [{ warmup_steps: 12 }, /warmup_steps .* below max_steps/],
    [{ data: '/nowhere' }, /no prepared data/],
  ])('refuses %o with a sentence', async (changes, message) => {
    await expect(train(tinyTraining(data, temporaryFolder(), changes))).rejects.toThrow(message);
  });

  it('refuses to go on with other data', async () => {
    const out = temporaryFolder();
    await train(tinyTraining(data, out, { max_steps: 4 }), { threads: 1 });
    const other = await tinyDataset(200);
    await expect(train(tinyTraining(other, out), { threads: 1 })).rejects.toThrow(/made with other data/);
  });

  it('refuses to go on with another model', async () => {
    const out = temporaryFolder();
    await train(tinyTraining(data, out, { max_steps: 4 }), { threads: 1 });
    await expect(train(tinyTraining(data, out, { seed: 2 }), { threads: 1 })).rejects.toThrow(
      /made with seed 1, the configuration says 2/,
    );
  });
});

describe('the command', () => {
  it('prints one line of JSON, and exports a model that generates', async () => {
    const out = temporaryFolder();
    const config = join(out, 'given.json');
    writeFileSync(config, JSON.stringify(tinyTraining(data, join(out, 'run'))));
    const run = (...args: string[]) =>
      new Promise<{ stdout: string; code: number | null }>((resolve) => {
        let stdout = '';
        const child = spawn(process.execPath, [wick, ...args]);
        child.stdout.on('data', (chunk) => {
          stdout += chunk;
        });
        child.on('close', (code) => resolve({ stdout, code }));
      });
    const trained = await run('train', config, '--json');
    expect(JSON.parse(trained.stdout)).toMatchObject({ steps: 12 });
    const model = join(out, 'model');
    const exported = await run('export', join(out, 'run'), '--out', model, '--json');
    expect(JSON.parse(exported.stdout)).toMatchObject({
      steps: 12,
      folder: model,
    });
    expect(JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'))).toMatchObject({
      architectures: ['LlamaForCausalLM'],
    });
    const generated = await run('generate', 'The old fox', '--model', model, '--max-tokens', '8', '--json');
    expect(JSON.parse(generated.stdout)).toMatchObject({
      model: 'model',
      usage: { completion_tokens: expect.any(Number) },
    });
    const text = join(out, 'text.txt');
    writeFileSync(text, 'The old fox walked in the forest all day.');
    const scored = await run('eval', 'bits-per-byte', '--model', model, text, '--json');
    expect(JSON.parse(scored.stdout)).toMatchObject({
      bits_per_byte: expect.any(Number),
      tokens: expect.any(Number),
      bytes: 41,
    });
  });
});
