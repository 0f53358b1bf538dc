/** The models of a server. */
import { z } from 'zod';
import { askServer, jsonOf, type Server } from './server.ts';

const listed = z.object({
  data: z.array(
    z.looseObject({
      id: z.string(),
      owned_by: z.string().optional(),
      wick: z
        .looseObject({
          kind: z.string().optional(),
          placements: z.array(z.string()).optional(),
          state: z.string().optional(),
        })
        .optional(),
    }),
  ),
});
export type ServerModel = z.infer<typeof listed>['data'][number];

/** @throws Error if the server does not list its models */
export async function serverModels(server: Server, signal?: AbortSignal): Promise<ServerModel[]> {
  const json = await jsonOf(server, await askServer(server, 'models', undefined, signal));
  const { success, data } = listed.safeParse(json);
  if (!success) throw new Error(`${server.base.host} lists its models in a form that is not OpenAI's.`);
  return data.data;
}

/**
 * The model to ask where none is named: the server's only one that writes, or the first of a wick's, which is its default.
 * @throws Error naming those there are to choose from
 */
export async function usualModel(server: Server, signal?: AbortSignal): Promise<string> {
  const writers = (await serverModels(server, signal)).filter(
    ({ wick }) => (wick?.kind ?? 'text') === 'text',
  );
  if (writers.length === 1 || writers[0]?.owned_by === 'wick') return writers[0].id;
  const names = writers.slice(0, 20).map(({ id }) => id);
  const more = writers.length > names.length ? ', …' : '';
  throw new Error(
    `Name a model with --model: ${server.base.host} has ${names.join(', ') || 'none that it lists'}${more}.`,
  );
}
