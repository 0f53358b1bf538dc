import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CacheRows } from '../../../src/generation/engine/decoder.ts';
import { BLOCK, createPrefixTree } from '../../../src/generation/engine/prefix-tree.ts';

/** Rows that say what they are. */
interface Told extends CacheRows {
  of: string;
}
const told = (tokens: readonly number[]) => (from: number, to: number) =>
  ({ from, count: to - from, bytes: 0, of: tokens.slice(0, to).join() }) as Told;

/** What the tree should hold: every known beginning by itself, with when it was used last. */
function plainModel(most: number) {
  const known = new Map<string, number>();
  let clock = 0;
  const beginnings = (salt: string, tokens: readonly number[]) =>
    Array.from({ length: Math.floor(tokens.length / BLOCK) }, (_, i) => ({
      key: `${salt}|${tokens.slice(0, (i + 1) * BLOCK)}`,
      of: tokens.slice(0, (i + 1) * BLOCK).join(),
    }));
  const path = (salt: string, tokens: readonly number[]) => {
    const all = beginnings(salt, tokens);
    const missing = all.findIndex(({ key }) => !known.has(key));
    return missing < 0 ? all : all.slice(0, missing);
  };
  const use = (keys: string[]) => {
    for (const key of keys.reverse()) known.set(key, clock++);
  };
  return {
    known,
    find(salt: string, tokens: readonly number[]) {
      const found = path(salt, tokens);
      use(found.map(({ key }) => key));
      return found.map(({ of }) => of);
    },
    insert(salt: string, tokens: readonly number[]) {
      const all = beginnings(salt, tokens);
      let length = path(salt, tokens).length;
      use(all.slice(0, length).map(({ key }) => key));
      for (; length < all.length; length++) {
        if (known.size >= most) {
          this.evict();
          if (all.slice(0, length).some(({ key }) => !known.has(key))) return;
        }
        use(all.slice(0, length + 1).map(({ key }) => key));
      }
    },
    evict() {
      const [oldest] = [...known].sort(([, a], [, b]) => a - b);
      if (oldest) known.delete(oldest[0]);
      return oldest !== undefined;
    },
  };
}

const text = fc
  .array(fc.constantFrom(1, 2), { minLength: 0, maxLength: 4 })
  .chain((blocks) =>
    fc
      .nat(BLOCK - 1)
      .map((rest) => [
        ...blocks.flatMap((token) => new Array(BLOCK).fill(token)),
        ...new Array(rest).fill(7),
      ]),
  );
const command = fc.record({
  what: fc.constantFrom('find', 'insert', 'insert', 'evict'),
  salt: fc.constantFrom('a', 'b'),
  text,
});

it('knows what a list of all beginnings knows, each under its salt, and forgets what that forgets', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (commands, most) => {
      const tree = createPrefixTree();
      const plain = plainModel(most);
      const room = () => tree.tokens < most * BLOCK || tree.evict();
      for (const { what, salt, text } of commands) {
        if (what === 'evict') expect(tree.evict()).toBe(plain.evict());
        else if (what === 'find')
          expect(tree.find(salt, text).map((rows) => (rows as Told).of)).toEqual(plain.find(salt, text));
        else {
          tree.insert(salt, text, told(text), room);
          plain.insert(salt, text);
        }
        expect(tree.tokens).toBe(plain.known.size * BLOCK);
      }
    }),
    { numRuns: 500 },
  );
});
