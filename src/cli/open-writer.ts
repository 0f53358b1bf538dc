/** Opens the model that a command's options name. */
import type { Command } from 'commander';
import { chooseDevice } from './device.ts';
import { resolveModel } from './hub/model-cache.ts';
import { refuseLocalOptions, serverOf } from './remote/server.ts';
import type { TextOptions } from './text-options.ts';
import { usualFolder, type Writer } from './writer.ts';

/** Options that are about this machine alone. */
const local = ['device', 'threads', 'variant'];

/**
 * Opens the writer that a command's options name. What is not needed for it is not loaded.
 * @throws Error if it cannot be opened, or an option is not for it
 */
export async function openWriter(command: Command, signal?: AbortSignal): Promise<Writer> {
  const { model, ...options } = command.opts<TextOptions>();
  const server = serverOf(options);
  if (server) {
    refuseLocalOptions(command, local);
    const [{ serverWriter }, { usualModel }] = await Promise.all([
      import('./remote/text.ts'),
      import('./remote/models.ts'),
    ]);
    return serverWriter(server, model ?? (await usualModel(server, signal)));
  }
  const [{ generate }, { loadModelFolder }] = await Promise.all([
    import('../generation/generate.ts'),
    import('../service/model-folder.ts'),
  ]);
  const provider = await chooseDevice(options.device, (line) => console.error(line));
  const loaded = await loadModelFolder(resolveModel(model ?? usualFolder), { ...options, provider });
  return {
    id: loaded.id,
    write: (input, parameters, signal) => generate(loaded, input, parameters, signal),
  };
}
