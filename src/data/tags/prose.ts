/** Plain texts of which little is known: what is no name, and a few that are some, in whose place others may stand. */
import { join } from 'node:path';
import { createDeduplicator } from '../deduplicate.ts';
import type { SplitName } from '../labels/label-dataset.ts';
import { plainRows, sideOf } from '../labels/prepare-labels.ts';
import { hash, type Words } from '../labels/sentences.ts';
import type { Problem } from '../problems.ts';
import { createRandom, mix } from '../random.ts';
import { readFile } from '../read.ts';
import { listSources } from '../sources.ts';
import { fillTagged } from './fill.ts';
import type { TagProse, TagRecipe } from './recipe.ts';
import { createSpelling, type Spelling } from './spelling.ts';
import type { TaggedText } from './tagged-text.ts';
import { isHeldOut, type SideDraws } from './word-draws.ts';

/** Units of a piece of plain text at most. */
const PIECE = 400;

interface ProseOptions {
  /** The folder from which a rule's texts are named. */
  from: string;
  signal?: AbortSignal;
  onProgress?: (texts: number) => void;
  recipe: TagRecipe;
  draws: SideDraws;
  words: Words;
  entities: Readonly<Record<string, string>>;
  folder: string;
  problems: Problem[];
}
type Piece = Pick<TaggedText, 'text' | 'spans'> & { unknown: Place[] };
interface Place {
  start: number;
  end: number;
}

/** @throws Error if the rule names a type or a list that there is not */
export async function* taggedProse(
  rule: TagProse,
  { recipe, draws, words, entities, ...options }: ProseOptions,
): AsyncGenerator<Piece & { side: SplitName }> {
  const listed = (names: readonly string[]) =>
    names.flatMap((name) => {
      if (Object.hasOwn(words, name)) return words[name];
      throw new Error(`The recipe's prose names the words "${name}", of which there are none.`);
    });
  const spelling = createSpelling(listed([...rule.plain, ...(rule.named?.after ?? [])]));
  const { type, words: of, not, after, replaced } = rule.named ?? noNames;
  if (type && !recipe.types.includes(type))
    throw new Error(`The recipe's prose finds "${type}"; it has the types ${recipe.types.join(', ')}.`);
  if (replaced) listed([replaced.by]);
  const others = new Set(listed(not).flatMap((name) => name.split(' ')));
  const names: Names = {
    first: new Set(listed(of).filter((name) => !others.has(name))),
    before: new Set(listed(after)),
  };
  for (const text of await readPieces(rule, spelling, options)) {
    const side = sideOf(text, recipe);
    const piece = namesIn(text, spelling, names, type);
    if (!replaced || side !== 'train') {
      yield { ...piece, side };
      continue;
    }
    const random = createRandom(mix(recipe.seed) ^ hash(text));
    const replace = (name: string) =>
      name.split(/[^\p{L}\p{M}]+/u).some((word) => isHeldOut(word, recipe)) || random() < replaced.share
        ? fillTagged(`{${replaced.by}}`, { draw: draws[side], entities, random })
        : undefined;
    yield { ...withOthers(piece, replace), side };
  }
}

const noNames: NonNullable<TagProse['named']> = { type: '', words: [], not: [], after: [] };

/** Pieces of the texts of a rule, whose spelling is read whole. */
async function readPieces(
  { path, limit = Number.POSITIVE_INFINITY }: TagProse,
  spelling: Spelling,
  {
    from,
    folder,
    problems,
    signal,
    onProgress,
  }: Omit<ProseOptions, 'recipe' | 'draws' | 'words' | 'entities'>,
): Promise<string[]> {
  const deduplicator = createDeduplicator(folder);
  const report = (problem: Problem) => problems.push(problem);
  const pieces: string[] = [];
  try {
    for (const file of listSources([join(from, path)], report)) {
      let count = 0;
      for await (const { text } of plainRows(readFile(file, report, { scratch: folder }))) {
        signal?.throwIfAborted();
        if (count++ >= limit) break;
        spelling.read(text);
        // The beginning of a text and a part of its middle.
        for (const start of [0, Math.floor(text.length / 2)]) {
          const piece = text
            .slice(start, start + PIECE)
            .replace(/^\S*\s|\s\S*$/g, '')
            .toWellFormed();
          if (piece.trim() !== '' && deduplicator.add(piece) === 'new') pieces.push(piece);
        }
        onProgress?.(pieces.length);
      }
    }
  } finally {
    deduplicator.close();
  }
  return pieces;
}

interface Names {
  /** Words that are names, and begin those of several words. */
  first: ReadonlySet<string>;
  /** Words behind which names stand. */
  before: ReadonlySet<string>;
}

/** Words of a name at most. */
const LONGEST = 3;

/** What of a text is known: names, and of which words it is unknown whether they are some. */
function namesIn(text: string, spelling: Spelling, { first, before }: Names, type: string): Piece {
  const spans: TaggedText['spans'] = [];
  const unknown: Place[] = [];
  const seen = new Set<string>();
  let words = 0;
  for (const place of spelling.doubtful(text, (word) => before.has(word))) {
    const word = text.slice(place.start, place.end);
    const last = spans.at(-1);
    const goesOn = last && text.slice(last.end, place.start) === ' ' && words < LONGEST;
    if (goesOn) {
      last.end = place.end;
      words++;
    } else if (first.has(word) || seen.has(word) || before.has(wordBefore(text, place.start))) {
      spans.push({ ...place, type });
      words = 1;
    } else {
      unknown.push(place);
      continue;
    }
    seen.add(word);
  }
  return { text, spans, unknown };
}

const wordBefore = (text: string, at: number) => /(\p{L}+)\.? $/u.exec(text.slice(0, at))?.[1] ?? '';

/** A text in which what `replace` gives stands in the place of spans. */
function withOthers(
  { text, spans, unknown }: Piece,
  replace: (name: string) => Pick<TaggedText, 'text' | 'spans'> | undefined,
): Piece {
  const result: Piece = { text: '', spans: [], unknown: [] };
  let at = 0;
  const copyTo = (end: number) => {
    const by = result.text.length - at;
    const moved = ({ start, end }: Place) => ({ start: start + by, end: end + by });
    result.unknown.push(...unknown.filter(({ start }) => start >= at && start < end).map(moved));
    result.text += text.slice(at, end);
    at = end;
  };
  for (const span of spans) {
    copyTo(span.start);
    const other = replace(text.slice(span.start, span.end)) ?? {
      text: text.slice(span.start, span.end),
      spans: [{ start: 0, end: span.end - span.start, type: span.type }],
    };
    const by = result.text.length;
    result.spans.push(
      ...other.spans.map(({ start, end, type }) => ({ start: start + by, end: end + by, type })),
    );
    result.text += other.text;
    at = span.end;
  }
  copyTo(text.length);
  return result;
}
