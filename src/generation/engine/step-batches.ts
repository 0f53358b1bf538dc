/** How the rows of a step are put together into runs of the graph. */
import type { CacheClass } from './cache-class.ts';
import type { StepRow } from './decoder.ts';

/** Where a sequence's keys and values lie. */
export interface Placed {
  readonly length: number;
  room: CacheClass;
  slot: number;
}

/** One run: places `from` up to `to` of a room, each with `width` tokens; those without a row are computed in vain. */
export interface Batch {
  room: CacheClass;
  from: number;
  to: number;
  width: number;
  rows: BatchRow[];
}

interface BatchRow {
  /** Which row of the step. */
  row: number;
  slot: number;
  /** The position of its first token. */
  start: number;
  tokens: readonly number[];
  /** After which of the tokens logits are wanted. */
  wanted: number[];
}

/** Places in a row that are computed in vain rather than that a run be cut in two. */
const GAP = 2;

/** The runs of a step, in order; of a row with more than `limit` tokens each run takes a part. */
export function batches(sequences: readonly Placed[], rows: readonly StepRow[], limit: number): Batch[] {
  const all: Batch[] = [];
  const longest = Math.max(0, ...rows.map(({ tokens }) => tokens.length));
  for (let offset = 0; offset < longest; offset += limit) {
    const parts = rows.flatMap(({ tokens, logits }, row) => {
      const part = tokens.slice(offset, offset + limit);
      if (part.length === 0) return [];
      const first = tokens.length - logits - offset;
      const wanted = part.flatMap((_, i) => (i >= first ? [i] : []));
      const { room, slot, length } = sequences[row];
      return [{ room, part: { row, slot, start: length + offset, tokens: part, wanted } }];
    });
    const groups = Map.groupBy(parts, ({ room, part }) => `${room.capacity}:${part.tokens.length}`);
    for (const group of groups.values()) all.push(...runs(group));
  }
  return all;
}

/** Rows of one room and one width, cut where too many places lie between. */
function runs(group: { room: CacheClass; part: BatchRow }[]): Batch[] {
  const list: Batch[] = [];
  for (const { room, part } of group.sort((a, b) => a.part.slot - b.part.slot)) {
    const last = list.at(-1);
    if (last && part.slot - last.to <= GAP) {
      last.rows.push(part);
      last.to = part.slot + 1;
    } else list.push({ room, from: part.slot, to: part.slot + 1, width: part.tokens.length, rows: [part] });
  }
  return list;
}
