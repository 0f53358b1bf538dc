/**
 * A policy on a text that comes in pieces, with what a tagger finds in it beside what patterns find. It holds back, too,
 * the words that the tagger has to see behind a word, and whatever the pieces are, together they give what the whole
 * text gives.
 */
import {
  createFilterStream,
  type FilterOptions,
  type FilterPiece,
  type FilterStream,
} from './filter-stream.ts';
import type { Direction, Policy } from './policy.ts';
import { createScan, type Scan } from './scan.ts';
import type { Tagger } from './tag.ts';
import { createTagScan, type TagScan } from './tag-scan.ts';

/** As FilterStream, but that it answers later. Pieces are read in the order in which they are pushed. */
export interface TaggedStream {
  push(text: string): Promise<FilterPiece>;
  end(): Promise<FilterPiece>;
}

/**
 * A filter for one text, as createFilterStream makes it. A tagger that fails, or takes longer than the policy's time
 * limit, has the text refused.
 *
 * @param tagger or what becomes one; nothing is tagged without: it costs nothing then, and needsTagger (policy.ts) tells who has to have one
 * @throws Error if the policy hashes and there is no secret
 */
export function createTaggedStream(
  policy: Policy,
  direction: Direction,
  tagger: Tagger | Promise<Tagger> | undefined,
  options: FilterOptions = {},
): TaggedStream {
  const { now = Date.now, scans = [createScan] } = options;
  /** What the tagger found in the piece that is being pushed, or why it could not. */
  let found: () => ReturnType<Scan['push']>;
  const replay = (): Scan => ({ push: () => found() });
  const stream: FilterStream = createFilterStream(policy, direction, {
    ...options,
    scans: tagger ? [...scans, replay] : scans,
  });
  let scan: TagScan | undefined;
  let refused = false;
  async function step(piece: string, last: boolean): Promise<FilterPiece> {
    if (tagger && !refused) {
      try {
        scan ??= createTagScan(await tagger);
        const deadline = now() + policy.time_limit_ms * Math.max(1, piece.length / 100_000);
        const findings = await scan.push(piece, last, () => {
          if (now() > deadline) throw new Error('time limit');
        });
        found = () => findings;
      } catch (error) {
        found = () => {
          throw error;
        };
      }
    }
    const result = last ? stream.end() : stream.push(piece);
    refused ||= result.refused !== undefined;
    return result;
  }
  let before: Promise<unknown> = Promise.resolve();
  const inTurn = (piece: string, last: boolean): Promise<FilterPiece> => {
    const result = before.then(() => step(piece, last));
    before = result.catch(() => {});
    return result;
  };
  return { push: (text) => inTurn(text, false), end: () => inTurn('', true) };
}

/** A policy on a whole text, with what a tagger finds in it. */
export async function filterTaggedText(
  text: string,
  policy: Policy,
  direction: Direction,
  tagger: Tagger | undefined,
  options?: FilterOptions,
): Promise<FilterPiece> {
  const stream = createTaggedStream(policy, direction, tagger, options);
  const [first, rest] = [await stream.push(text), await stream.end()];
  return { ...rest, text: first.text + rest.text, spans: [...first.spans, ...rest.spans] };
}
