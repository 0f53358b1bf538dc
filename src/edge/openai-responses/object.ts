/** What the durable object of a response is asked for. */
import type { Rpc } from '@cloudflare/workers-types';

/** A response, as an object of its own. */
export interface ResponseStore extends Rpc.DurableObjectBranded {
  /** Keeps a text until a time in Unix seconds, for whoever knows the same caller. */
  keep(caller: string, pieces: string[], until: number): Promise<void>;
  /** The text in pieces, or undefined if there is none, or not for this caller. */
  read(caller: string): Promise<string[] | undefined>;
  /** Says whether there was something to forget. */
  forget(caller: string): Promise<boolean>;
}
