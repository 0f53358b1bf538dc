import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { chooseDevice, type Device, tryDevice } from '../../src/cli/device.ts';
import { generate } from '../../src/generation/generate.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import { familiesFolder } from '../fixtures/families.ts';
import { startServiceIn } from '../fixtures/service.ts';
import { softwareGpu } from '../fixtures/software-gpu.ts';

/** No driver of any kind. */
const bare = { PATH: process.env.PATH, VK_DRIVER_FILES: '/dev/null', VK_ICD_FILENAMES: '/dev/null' };

async function choose(device: Device, environment: NodeJS.ProcessEnv) {
  const notes: string[] = [];
  const chosen = await chooseDevice(device, (line) => notes.push(line), environment);
  return { chosen, note: notes.join('\n') };
}

describe('without a GPU', () => {
  it('auto takes the processor, and says of each other what is missing', async () => {
    const { chosen, note } = await choose('auto', bare);
    expect(chosen).toBe('cpu');
    expect(note).toMatch(/^Device: cpu\. cuda: .+\. webgpu: .*(missing|no adapter was found).*\.$/);
  });

  it.each(['webgpu', 'cuda'] as const)('%s is refused with the reason', async (device) => {
    await expect(choose(device, bare)).rejects.toThrow(
      new RegExp(`^The device "${device}" does not run here: .+(missing|not installed|no adapter)`),
    );
  });

  it('the processor is taken without a word', async () => {
    expect(await choose('cpu', bare)).toEqual({ chosen: 'cpu', note: '' });
  });
});

const environment = softwareGpu();
describe.skipIf(!environment)('on a software adapter', () => {
  it('is known to be no GPU: auto leaves it, and who asks for it is told', async () => {
    expect(await tryDevice('webgpu', environment)).toEqual({ runs: true, software: 'SwiftShader' });
    const { chosen, note } = await choose('auto', environment!);
    expect(chosen).toBe('cpu');
    expect(note).toContain('webgpu: SwiftShader is no GPU; --device webgpu takes it all the same.');
    expect(await choose('webgpu', environment!)).toEqual({
      chosen: 'webgpu',
      note: 'Device: webgpu, which is SwiftShader, no GPU.',
    });
  });

  const script = new URL('../fixtures/webgpu-tokens.ts', import.meta.url).pathname;
  it.each(['smollm2', 'gpt2'])(
    'writes the tokens of %s that the processor writes, its cache in the memory of the device, where nothing of it stays',
    async (family) => {
      const folder = `${familiesFolder}/${family}`;
      const { stdout } = await promisify(execFile)(process.execPath, [script, folder, '48'], {
        env: environment,
      });
      const { tokens, ...cache } = JSON.parse(stdout) as { tokens: number[] };
      expect(cache).toEqual({ locations: ['gpu-buffer'], held: 0 });
      const model = await loadModelFolder(folder, { threads: 1 });
      const expected: number[] = [];
      const wish = { max_tokens: 48, temperature: 0, ignore_eos: true };
      for await (const event of generate(model, { text: 'Once upon a time' }, wish))
        if (event.type === 'delta') expected.push(...event.tokens);
      expect(tokens).toEqual(expected);
    },
    180_000,
  );

  it('answers in the service, a token of one and a token of the other', async () => {
    const service = await startServiceIn(
      environment!,
      '--device',
      'webgpu',
      '--models',
      `${familiesFolder}/smollm2`,
    );
    const ask = (text: string) =>
      service
        .ask('POST', '/v1/generate', {
          model: 'smollm2',
          input: { text },
          parameters: { max_tokens: 8, temperature: 0, ignore_eos: true },
        })
        .then((response) => response.text());
    const texts = ['Once upon a time', 'The old fox'];
    const alone = [await ask(texts[0]), await ask(texts[1])].map(tokensIn);
    const together = (await Promise.all(texts.map(ask))).map(tokensIn);
    await service.stop();
    expect(together).toEqual(alone);
    expect(together.map(({ length }) => length)).toEqual([8, 8]);
  }, 180_000);
});

/** The tokens in lines of events. */
const tokensIn = (lines: string): number[] =>
  lines
    .trim()
    .split('\n')
    .flatMap((line) => (JSON.parse(line) as { tokens?: number[] }).tokens ?? []);
