/** Responses that are kept for a while: each in a durable object of its own, in pieces that fit its storage. */
import type { DurableObjectStub } from '@cloudflare/workers-types';
import type { ResponseObject } from '../../api/responses/answer.ts';
import type { Item } from '../../api/responses/items.ts';
import { wickPart } from '../../api/trace.ts';
import type { Bindings, EdgeContext } from '../context.ts';
import { Failure } from '../failure.ts';
import { sha256 } from '../images/hash.ts';
import type { ResponseStore } from './object.ts';

export interface Kept {
  response: ResponseObject;
  /** What this request brought. */
  input: Item[];
  /** The input and the output of the responses before it, the oldest first. */
  history: Item[];
}

/** Characters of a kept response with its conversation, and of a piece of it. */
const limits = { whole: 4_000_000, piece: 100_000 };

/** Seconds for which a response is kept: a day where nothing is said. */
const responseLife = (env: Bindings): number => Number(env.WICK_RESPONSE_LIFE) || 86_400;

/**
 * Refuses a conversation that could not be kept, before it is answered.
 * @throws Failure 400
 */
export function checkSize(items: readonly Item[]): void {
  if (JSON.stringify(items).length <= limits.whole / 2) return;
  throw new Failure(
    'invalid_value',
    `With the responses before it, the conversation has more than ${limits.whole / 2} characters, the most that is kept.`,
    { param: 'previous_response_id' },
  );
}

/**
 * Keeps a response, without its trace.
 * @throws Error if it is larger than what is kept
 */
export async function keepResponse(c: EdgeContext, kept: Kept): Promise<void> {
  const { wick, ...response } = kept.response;
  const { trace, tokens, ...own } = wick ?? {};
  const text = JSON.stringify({ ...kept, response: { ...response, ...wickPart(own) } });
  if (text.length > limits.whole) throw new Error(`A response of ${text.length} characters is not kept.`);
  const pieces = Array.from({ length: Math.ceil(text.length / limits.piece) }, (_, i) =>
    text.slice(i * limits.piece, (i + 1) * limits.piece),
  );
  const until = Math.floor(Date.now() / 1000) + responseLife(c.env);
  await objectOf(c, kept.response.id).keep(await callerOf(c), pieces, until);
}

/**
 * A response that is kept.
 * @param param what in the request named it
 * @throws Failure 404
 */
export async function readResponse(c: EdgeContext, id: string, param = 'response_id'): Promise<Kept> {
  const pieces = isId(id) ? await objectOf(c, id).read(await callerOf(c)) : undefined;
  if (!pieces) throw absent(id, param);
  return JSON.parse(pieces.join('')) as Kept;
}

/** @throws Failure 404 */
export async function forgetResponse(c: EdgeContext, id: string): Promise<void> {
  if (!isId(id) || !(await objectOf(c, id).forget(await callerOf(c)))) throw absent(id, 'response_id');
}

const isId = (id: string): boolean => /^resp_[0-9a-f]{32}$/.test(id);

const objectOf = (c: EdgeContext, id: string): DurableObjectStub<ResponseStore> =>
  c.env.RESPONSES.get(c.env.RESPONSES.idFromName(id));

/** Whose a response is: the key's that came along with the request; without keys an id is all that one needs. */
const callerOf = (c: EdgeContext): Promise<string> => sha256(`key ${c.req.header('authorization') ?? ''}`);

const absent = (id: string, param: string): Failure =>
  new Failure(
    'response_not_found',
    `There is no response${isId(id) ? ` "${id}"` : ' of this id'}: it was not kept, its time is over, or it was deleted.`,
    { param },
  );
