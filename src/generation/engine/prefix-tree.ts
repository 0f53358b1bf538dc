/**
 * Keys and values of texts that were read, by their beginnings: a tree whose nodes each hold those of a block of
 * tokens. What two texts begin with stands in it once. The least recently used blocks go first.
 */
import type { CacheRows } from './decoder.ts';

/** Tokens of a block. */
export const BLOCK = 16;

interface Node {
  key: string;
  rows: CacheRows;
  /** Undefined below the root of its salt. */
  parent?: Node;
  /** The children of `parent`, or the blocks that texts of its salt begin with. */
  siblings: Map<string, Node>;
  children: Map<string, Node>;
}

export interface PrefixTree {
  /** Tokens whose keys and values it holds. */
  readonly tokens: number;
  /** The rows of the longest known beginning of these tokens, a block each, in order. They count as used now. */
  find(salt: string, tokens: readonly number[]): CacheRows[];
  /**
   * Learns the whole blocks at the beginning of these tokens.
   * @param read gives the rows of positions `from` up to `to`; it is asked for those that are not known yet
   * @param room makes room for a block more, or says that there is none: then no more is learnt
   */
  insert(
    salt: string,
    tokens: readonly number[],
    read: (from: number, to: number) => CacheRows,
    room: () => boolean,
  ): void;
  /** Forgets the block that was not used for the longest time. False if there is none. */
  evict(): boolean;
}

/** An empty tree. Texts of one salt are unknown under another. */
export function createPrefixTree(): PrefixTree {
  const roots = new Map<string, Map<string, Node>>();
  /** In the order of use. A node is used after its children, so that the first is always one without children. */
  const used = new Set<Node>();

  return {
    get tokens() {
      return used.size * BLOCK;
    },
    find(salt, tokens) {
      const path = walk(salt, tokens);
      touch(path);
      return path.map(({ rows }) => rows);
    },
    insert(salt, tokens, read, room) {
      const path = walk(salt, tokens);
      touch(path);
      for (let at = path.length * BLOCK; at + BLOCK <= tokens.length; at += BLOCK) {
        const size = used.size;
        if (!room()) return;
        // Room was made at the cost of this very path: it is too long for what may be held.
        if (used.size < size && path.some((node) => !used.has(node))) return;
        const parent = path.at(-1);
        const siblings = parent?.children ?? rootsOf(salt);
        const key = keyOf(tokens, at);
        const node = { key, rows: read(at, at + BLOCK), parent, siblings, children: new Map() };
        siblings.set(key, node);
        path.push(node);
        touch(path);
      }
    },
    evict() {
      const [oldest] = used;
      if (!oldest) return false;
      used.delete(oldest);
      oldest.siblings.delete(oldest.key);
      if (!oldest.parent && oldest.siblings.size === 0)
        for (const [salt, root] of roots) if (root === oldest.siblings) roots.delete(salt);
      return true;
    },
  };

  function walk(salt: string, tokens: readonly number[]): Node[] {
    const path: Node[] = [];
    let children = roots.get(salt);
    for (let at = 0; at + BLOCK <= tokens.length; at += BLOCK) {
      const node = children?.get(keyOf(tokens, at));
      if (!node) break;
      path.push(node);
      children = node.children;
    }
    return path;
  }

  function touch(path: readonly Node[]): void {
    for (const node of [...path].reverse()) {
      used.delete(node);
      used.add(node);
    }
  }

  function rootsOf(salt: string): Map<string, Node> {
    const root = roots.get(salt) ?? new Map<string, Node>();
    roots.set(salt, root);
    return root;
  }
}

const keyOf = (tokens: readonly number[], at: number): string => tokens.slice(at, at + BLOCK).join(' ');
