/** Which of the machine's devices computes: what is asked for is tried before a model is loaded. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import type { Provider } from '../service/runtime.ts';

export const devices = ['auto', 'cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof devices)[number];

/** What a try has shown. */
export type Trial = { runs: true; software?: string } | { runs: false; why: string };

/** Milliseconds that a try may take. */
const PATIENCE = 60_000;

const probe = fileURLToPath(new URL('./device-probe.ts', import.meta.url));

export const deviceOption = (what = 'where it runs'): Option =>
  new Option('--device <name>', `${what}; auto takes a GPU that works`).choices(devices).default('cpu');

/**
 * The provider of a device.
 * @param note is told in a line what was found, where something was tried
 * @param environment of the processes that try
 * @throws Error if a device that is asked for by its name does not run, with the reason
 */
export async function chooseDevice(
  device: Device,
  note: (line: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Provider> {
  if (device === 'cpu') return 'cpu';
  if (device !== 'auto') {
    const trial = await tryDevice(device, environment);
    if (!trial.runs)
      throw new Error(
        `The device "${device}" does not run here: ${trial.why}. "cpu" runs everywhere, and "auto" says what there is.`,
      );
    note(`Device: ${device}${trial.software ? `, which is ${trial.software}, no GPU` : ''}.`);
    return device;
  }
  const order = ['cuda', 'webgpu'] as const;
  const trials = await Promise.all(order.map((each) => tryDevice(each, environment)));
  const found =
    order.find((_, i) => trials[i].runs && !(trials[i] as { software?: string }).software) ?? 'cpu';
  const others = order
    .map((each, i) => ({ each, trial: trials[i] }))
    .filter(({ each }) => found === 'cpu' || order.indexOf(each) < order.indexOf(found))
    .map(({ each, trial }) => {
      if (!trial.runs) return ` ${each}: ${trial.why}.`;
      return ` ${each}: ${trial.software} is no GPU; --device ${each} takes it all the same.`;
    });
  note(`Device: ${found}.${others.join('')}`);
  return found;
}

/** Multiplies two small matrices on a device. */
export function tryDevice(
  device: Exclude<Provider, 'cpu'>,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Trial> {
  return new Promise((resolve) => {
    const options = { timeout: PATIENCE, env: environment };
    execFile(process.execPath, [probe, device], options, (error, stdout, stderr) => {
      if (!error) resolve({ runs: true, ...(JSON.parse(stdout) as { software?: string }) });
      else resolve({ runs: false, why: reasonOf(device, `${stdout}\n${stderr}`, error) });
    });
  });
}

/** What is missing, where it can be told from what onnxruntime and the loaders of drivers write. */
function reasonOf(
  device: Exclude<Provider, 'cpu'>,
  text: string,
  { killed, signal }: { killed?: boolean; signal?: NodeJS.Signals | null },
): string {
  const [, library] = /([\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(text) ?? [];
  if (library?.startsWith('libonnxruntime_providers'))
    return `onnxruntime's own CUDA libraries are not installed (${library}); the README says how, under "GPUs"`;
  if (library) return `the library ${library} is missing`;
  if (/No supported adapters/.test(text)) return 'no adapter was found: a GPU with a Vulkan driver is needed';
  if (killed) return `it did not answer within ${PATIENCE / 1000} s`;
  if (signal) return `its driver ends the process (${signal})`;
  const [, said] = /Error: (.*)/.exec(text) ?? [];
  return (said ?? `${device} gives no reason`).replace(/\.$/, '');
}
