/** Opens the model that a command's options name. */
import type { Command } from 'commander';
import type { LoadOptions } from '../service/model-folder.ts';
import { resolveModel } from './hub/model-cache.ts';
import { refuseLocalOptions, type ServerOptions, serverOf } from './remote/server.ts';
import { usualFolder, type Writer } from './writer.ts';

/** Options that are about this machine alone. */
const local = ['provider', 'threads', 'variant'];

/**
 * Opens the writer that a command's options name. What is not needed for it is not loaded.
 * @throws Error if it cannot be opened, or an option is not for it
 */
export async function openWriter(command: Command, signal?: AbortSignal): Promise<Writer> {
  const { model, ...options } = command.opts<{ model?: string } & LoadOptions & ServerOptions>();
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
  const loaded = await loadModelFolder(resolveModel(model ?? usualFolder), options);
  return {
    id: loaded.id,
    write: (input, parameters, signal) => generate(loaded, input, parameters, signal),
  };
}
