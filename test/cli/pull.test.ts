import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { wantedFiles } from '../../src/cli/hub/wanted-files.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { commit, type Mirror, startMirror } from './hub-mirror.ts';
import { ended, run, wick } from './run-wick.ts';

const shipped = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'onnx/model.onnx',
];
const model = Object.fromEntries(shipped.map((path) => [path, readFileSync(`models/Llama-wick-3M/${path}`)]));
const big = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 3));
const small = {
  'config.json': Buffer.from('{}'),
  'onnx/model.onnx': big,
  'onnx/model_q4.onnx': Buffer.from('four'),
  'onnx/model_q4.onnx_data': big.subarray(0, 50_000),
  'README.md': Buffer.from('# It'),
  'empty.txt': Buffer.alloc(0),
};

let mirror: Mirror;
afterEach(async () => {
  vi.unstubAllEnvs();
  await mirror?.stop();
});

/** A hub with a model, and a place of its own to pull to. */
async function hub(files: Record<string, Buffer> = small): Promise<{ cache: string; folder: string }> {
  mirror = await startMirror('wick/Story', files);
  const cache = temporaryFolder();
  vi.stubEnv('WICK_CACHE', cache);
  vi.stubEnv('HF_ENDPOINT', mirror.url);
  return { cache, folder: join(cache, 'wick', 'Story') };
}
const pull = (...args: string[]) => run(['pull', 'wick/Story', ...args]);

describe('a model that is pulled', () => {
  it('writes without the hub, and is fetched once', async () => {
    const { folder } = await hub(model);
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    const first = await pull('--json');
    expect(first).toMatchObject({ code: 0 });
    expect(JSON.parse(first.stdout)).toEqual({
      folder,
      revision: commit,
      files: shipped.map((path) => ({ path, bytes: model[path].length, fetched: true })),
    });
    expect(mirror.asked.every(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true);
    for (const path of shipped) expect(readFileSync(join(folder, path)).equals(model[path])).toBe(true);
    const downloads = () => mirror.asked.filter(({ path }) => path.includes('/resolve/')).length;
    const before = downloads();
    const again = JSON.parse((await pull('--json')).stdout) as { files: { fetched: boolean }[] };
    expect(again.files.some(({ fetched }) => fetched)).toBe(false);
    expect(downloads()).toBe(before);
    await mirror.stop();
    const said = await run(['generate', 'Once', '--model', 'wick/Story', '--max-tokens', '4', '--json']);
    expect(JSON.parse(said.stdout)).toMatchObject({ model: 'Story', finish_reason: 'length' });
    expect((await run(['models'])).stdout).toContain('Story  LlamaForCausalLM');
  });

  it('is as small as the variant that is wanted, or exactly the files that are named', async () => {
    const { folder } = await hub();
    await pull('--variant', 'q4');
    expect(existsSync(join(folder, 'onnx/model_q4.onnx_data'))).toBe(true);
    expect(existsSync(join(folder, 'onnx/model.onnx'))).toBe(false);
    expect(statSync(join(folder, 'empty.txt')).size).toBe(0);
    const to = temporaryFolder();
    const named = await pull('--file', 'README.md', '--to', to);
    expect(named.stdout).toContain('README.md  4 B');
    expect(existsSync(join(to, 'config.json'))).toBe(false);
    expect((await pull('--variant', 'q8')).stderr).toMatch(/no model_q8\.onnx\. --variant takes: .*q4/);
    expect((await pull('--file', 'nothing')).stderr).toMatch(/no file nothing\. It has: config\.json/);
  });

  it('goes on where its connection broke, in the same run and in the next', async () => {
    const { folder } = await hub();
    let breaks = 3;
    mirror.instead = (path, { headers }, response) => {
      const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
      if (!path.endsWith('/model.onnx') || headers.range === 'bytes=0-0' || breaks-- <= 0) return false;
      response.writeHead(206, { 'content-length': big.length - from, etag: '"x"' });
      response.write(big.subarray(from, from + 70_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    expect((await pull()).code).toBe(0);
    expect(readFileSync(join(folder, 'onnx/model.onnx')).equals(big)).toBe(true);
    const ranges = mirror.asked.filter(
      ({ path, range }) => path.endsWith('model.onnx') && range !== 'bytes=0-0',
    );
    expect(ranges.some(({ range }) => /^bytes=[1-9]\d*-/.test(range ?? ''))).toBe(true);
  });

  it('goes on after Ctrl-C', async () => {
    const { folder } = await hub();
    mirror.instead = (path, { headers }, response) => {
      if (!path.endsWith('/model.onnx') || headers.range === 'bytes=0-0') return false;
      response.writeHead(200, { 'content-length': big.length, etag: '"x"' });
      response.write(big.subarray(0, 90_000));
      return true;
    };
    const child = spawn(process.execPath, [wick, 'pull', 'wick/Story']);
    const end = ended(child);
    const part = join(folder, 'onnx/model.onnx.part');
    await vi.waitFor(() => expect(statSync(part).size).toBeGreaterThan(0), { timeout: 20_000 });
    child.kill('SIGINT');
    expect(await end).toMatchObject({
      code: 130,
      stderr: expect.stringContaining('the same command goes on'),
    });
    mirror.instead = undefined;
    const kept = statSync(part).size;
    expect((await pull()).code).toBe(0);
    expect(mirror.asked.some(({ range }) => range?.startsWith(`bytes=${kept}-`))).toBe(true);
    expect(readFileSync(join(folder, 'onnx/model.onnx')).equals(big)).toBe(true);
  });
});

describe('what is not right', () => {
  it('in its bytes is thrown away', async () => {
    const { folder } = await hub();
    mirror.instead = (path, { headers }, response) => {
      if (!path.endsWith('/model.onnx') || headers.range === 'bytes=0-0') return false;
      response.end(Buffer.alloc(big.length));
      return true;
    };
    const { code, stderr } = await pull();
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/model\.onnx arrived with another checksum/),
    });
    expect(existsSync(join(folder, 'onnx/model.onnx'))).toBe(false);
    expect(existsSync(join(folder, 'onnx/model.onnx.part'))).toBe(false);
  });

  it('left over from something else is found out', async () => {
    const { folder } = await hub({ 'config.json': Buffer.from('{}'), 'onnx/model.onnx': big });
    await pull('--file', 'config.json');
    writeFileSync(join(folder, 'config.json.part'), 'far too long for it');
    writeFileSync(join(folder, 'config.json'), 'changed');
    expect((await pull()).code).toBe(0);
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toBe('{}');
    writeFileSync(join(folder, '.wick.json'), '{"na');
    expect((await pull()).code).toBe(0);
  });

  it.each([['../../evil.json'], ['/etc/evil.json'], ['a/../../evil.json'], ['.wick.json']])(
    'in a path is refused: %s',
    async (path) => {
      const { cache } = await hub({ ...small, [path]: Buffer.from('evil') });
      const { code, stderr } = await pull('--file', path);
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/outside of its folder/),
      });
      expect(existsSync(join(cache, 'evil.json'))).toBe(false);
    },
  );

  it('in a name, a revision or a hub is told', async () => {
    await hub();
    expect((await run(['pull', 'Story'])).stderr).toMatch(/OWNER\/NAME/);
    expect((await run(['pull', '../..'])).stderr).toMatch(/OWNER\/NAME/);
    expect((await run(['pull', 'wick/Other'])).stderr).toMatch(/The hub has no wick\/Other at main/);
    expect((await pull('--revision', 'v9')).stderr).toMatch(/The hub has no wick\/Story at v9/);
    mirror.instead = (_, __, response) => {
      response.writeHead(401).end();
      return true;
    };
    expect((await pull()).stderr).toMatch(/for those alone who were let in \(HF_TOKEN names you\)/);
    await mirror.stop();
    expect((await pull()).stderr).toMatch(/The hub does not answer: .*ECONNREFUSED/);
    expect((await run(['generate', 'x', '--model', 'wick/Story'])).stderr).toMatch(/wick pull wick\/Story/);
  });
});

it('chooses a graph in each part of a diffusers folder, and one of a decoder', () => {
  const files = [
    ...[
      'model_index.json',
      'unet/config.json',
      'unet/model.onnx',
      'unet/model.onnx_data',
      'unet/model_fp16.onnx',
    ],
    ...['vae_decoder/model.onnx', 'tokenizer/merges.txt', 'preview.png', 'unet/weights.bin'],
  ].map((path) => ({ path, size: 1 }));
  expect(wantedFiles(files, 'fp16').map(({ path }) => path)).toEqual([
    ...['model_index.json', 'unet/config.json', 'tokenizer/merges.txt'],
    ...['unet/model_fp16.onnx', 'vae_decoder/model.onnx'],
  ]);
  expect(wantedFiles(files, '').map(({ path }) => path)).toContain('unet/model.onnx_data');
  expect(() => wantedFiles(files, 'q4')).toThrow(/takes: .*fp16/);
  expect(() => wantedFiles([{ path: 'model.safetensors', size: 1 }], '')).toThrow(/no ONNX graph/);
  const older = ['decoder_model', 'decoder_model_merged', 'decoder_model_merged_q4'].map((name) => ({
    ...{ path: `onnx/${name}.onnx`, size: 1 },
  }));
  expect(wantedFiles(older, '')).toEqual([older[1]]);
  expect(wantedFiles(older, 'q4')).toEqual([older[2]]);
  expect(wantedFiles(older.slice(2), '')).toEqual([older[2]]);
  expect(() => wantedFiles(older, 'fp16')).toThrow(/takes: '' \(model\.onnx\), q4/);
});
