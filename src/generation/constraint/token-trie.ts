/** A vocabulary as a tree of its tokens' bytes, so that what tokens have in common is looked at once. */

export interface TokenTrie {
  /** Token ids, by how they are spelled. */
  size: number;
  /**
   * Nodes in pre-order without the root: of each the byte that leads to it, its depth (1 below the root), the node
   * behind its subtree, and the place of its tokens in `tokens`, which are those up to the place of the next node.
   */
  byte: Uint8Array;
  depth: Uint16Array;
  after: Int32Array;
  first: Int32Array;
  tokens: Int32Array;
  deepest: number;
  /** Whether each byte has a token of its own. */
  complete: boolean;
}

/** Bytes of a token that is looked at; longer ones are never taken under a constraint. */
const LONGEST = 1024;

/**
 * @param size token ids are below it
 * @param spelling a token's bytes; undefined for tokens that write nothing of their own
 */
export function createTokenTrie(size: number, spelling: (id: number) => Uint8Array | undefined): TokenTrie {
  const spelled: { id: number; bytes: Uint8Array }[] = [];
  let total = 0;
  for (let id = 0; id < size; id++) {
    const bytes = spelling(id);
    if (!bytes || bytes.length === 0 || bytes.length > LONGEST) continue;
    spelled.push({ id, bytes });
    total += bytes.length;
  }
  spelled.sort((a, b) => compare(a.bytes, b.bytes) || a.id - b.id);
  const byte = new Uint8Array(total);
  const depth = new Uint16Array(total);
  const after = new Int32Array(total);
  const first = new Int32Array(total + 1);
  const tokens = Int32Array.from(spelled, ({ id }) => id);
  let [count, deepest] = [0, 0];
  /** The nodes from the root to the token before. */
  const path: number[] = [];
  for (const [place, { bytes }] of spelled.entries()) {
    let common = 0;
    while (common < path.length && common < bytes.length && byte[path[common]] === bytes[common]) common++;
    while (path.length > common) after[path.pop()!] = count;
    for (let i = common; i < bytes.length; i++) {
      byte[count] = bytes[i];
      depth[count] = i + 1;
      first[count] = place;
      path.push(count++);
    }
    deepest = Math.max(deepest, bytes.length);
    // Tokens spelled the same stand behind one another, at their node.
    first[count] = place + 1;
  }
  while (path.length > 0) after[path.pop()!] = count;
  const single = new Set(spelled.filter(({ bytes }) => bytes.length === 1).map(({ bytes }) => bytes[0]));
  return {
    complete: single.size === 256,
    size,
    byte: byte.slice(0, count),
    depth: depth.slice(0, count),
    after: after.slice(0, count),
    first: first.slice(0, count + 1),
    tokens,
    deepest,
  };
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** The node of a byte below a node (-1 is the root), or -1 where there is none. */
export function childOf({ byte, after }: TokenTrie, node: number, wanted: number): number {
  const end = node < 0 ? byte.length : after[node];
  for (let child = node + 1; child < end; child = after[child]) if (byte[child] === wanted) return child;
  return -1;
}
