/** The durable object of a response that is kept. */
import { DurableObject } from 'cloudflare:workers';
import type { Bindings } from '../context.ts';
import type { ResponseStore } from './object.ts';

interface Head {
  caller: string;
  pieces: number;
  /** Unix seconds. */
  until: number;
}

const pieceKey = (index: number) => `piece ${index}`;

export class KeptResponse extends DurableObject<Bindings> implements ResponseStore {
  async keep(caller: string, pieces: string[], until: number): Promise<void> {
    const head: Head = { caller, pieces: pieces.length, until };
    const named = pieces.map((piece, index) => [pieceKey(index), piece]);
    await this.ctx.storage.put({ head, ...Object.fromEntries(named) });
    await this.ctx.storage.setAlarm(until * 1000);
  }

  async read(caller: string): Promise<string[] | undefined> {
    const head = await this.#head(caller);
    if (!head) return undefined;
    const keys = Array.from({ length: head.pieces }, (_, index) => pieceKey(index));
    const pieces = await this.ctx.storage.get<string>(keys);
    return keys.map((key) => pieces.get(key)!);
  }

  async forget(caller: string): Promise<boolean> {
    if (!(await this.#head(caller))) return false;
    await this.alarm();
    return true;
  }

  /** Called by the runtime when the time is over. */
  async alarm(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  /** What is there for this caller; an alarm may be late. */
  async #head(caller: string): Promise<Head | undefined> {
    const head = await this.ctx.storage.get<Head>('head');
    return head && head.caller === caller && Date.now() / 1000 < head.until ? head : undefined;
  }
}
