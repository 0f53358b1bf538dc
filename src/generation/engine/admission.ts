/** Who may hold keys and values: as many sequences as their tokens fit into the cache. */
import type { CacheRows, Decoder } from './decoder.ts';
import { BLOCK, createPrefixTree } from './prefix-tree.ts';
import { dropAhead, firstServed, size, todo, type Work } from './work.ts';

export interface Admission {
  /** Those that hold keys and values. */
  readonly admitted: ReadonlySet<Work>;
  /** Tokens that are held, or will be when those that are in have come so far; those of texts that are kept, too. */
  readonly used: number;
  /** Those of texts that are kept. */
  readonly kept: number;
  /** Sequences that lost their keys and values to others so far. */
  readonly preemptions: number;
  /** Lets in who waits, as far as there is room, first having made those fit who are in. */
  admit(waiting: readonly Work[]): void;
  /** Keeps what a sequence has computed for others that begin with it. */
  share(work: Work): void;
  /** Frees a sequence's keys and values. */
  release(work: Work): void;
}

/** Tokens that must be free beside a sequence that is let in, so that it is not sent out again at once. */
const HEADROOM = 16;

/**
 * @param capacity tokens in the cache, those of texts that are kept included
 * @param maxSequences how many are in at once
 */
export function createAdmission(decoder: Decoder, capacity: number, maxSequences: number): Admission {
  const admitted = new Set<Work>();
  const tree = createPrefixTree();
  let preemptions = 0;
  const used = () => [...admitted].reduce((sum, work) => sum + size(work), tree.tokens);

  return {
    admitted,
    get used() {
      return used();
    },
    get kept() {
      return tree.tokens;
    },
    get preemptions() {
      return preemptions;
    },
    admit(waiting) {
      while (used() > capacity) if (!tree.evict()) preempt(() => true);
      for (const work of [...waiting].sort(firstServed)) {
        if (waitsForAnother(work)) continue;
        // The rows that it will take count as used now, so that they are not what it takes room from.
        known(work);
        if (!makeRoom(work)) return;
        begin(work);
      }
    },
    share(work) {
      const computed = work.tokens.slice(0, work.computed);
      const room = () => used() + BLOCK <= capacity || tree.evict();
      tree.insert(work.salt, computed, (from, to) => decoder.read(work.rows!, from, to), room);
    },
    release,
  };

  /** Kept rows of what a sequence begins with; the tokens whose logits are wanted are computed in any case. */
  function known({ salt, tokens, wanted }: Work): CacheRows[] {
    return tree.find(salt, tokens.slice(0, tokens.length - wanted));
  }

  function begin(work: Work): void {
    const rows = decoder.open();
    for (const each of known(work)) decoder.append(rows, each);
    work.rows = rows;
    work.computed = rows.length;
    work.cached ??= rows.length;
    admitted.add(work);
  }

  function release(work: Work): void {
    if (!work.rows) return;
    decoder.close(work.rows);
    admitted.delete(work);
    dropAhead(work);
    work.rows = undefined;
    work.computed = 0;
  }

  /** Who stands still goes first, then the least urgent, of those the youngest. It is computed again later. */
  function preempt(may: (work: Work) => boolean): boolean {
    const idle = (work: Work) => Number(!work.waiter);
    const [last] = [...admitted].filter(may).sort((a, b) => idle(b) - idle(a) || firstServed(b, a));
    if (!last) return false;
    release(last);
    last.logits = [];
    preemptions++;
    return true;
  }

  function makeRoom(work: Work): boolean {
    const wanted = Math.min(size(work) + HEADROOM, capacity);
    const yields = (other: Work) => !other.waiter || other.priority > work.priority;
    while (admitted.size >= maxSequences) if (!preempt(yields)) return false;
    while (used() + wanted > capacity) if (!tree.evict() && !preempt(yields)) return false;
    return true;
  }

  /** Whether what it begins with is being computed for another: then that is waited for, and used. */
  function waitsForAnother(work: Work): boolean {
    const most = work.tokens.length - work.wanted;
    for (const other of admitted) {
      if (other.shared || other.salt !== work.salt || todo(other) === 0) continue;
      const common = commonLength(work.tokens, other.tokens, Math.min(most, other.promptLength));
      if (common >= BLOCK && common >= (known(work).length + 1) * BLOCK) return true;
    }
    return false;
  }
}

function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
