/**
 * Finds entities in a text that comes in pieces, the same ones as in the whole. What a finder decides at a place depends
 * on what stands before it and on what its pattern reads from there; where the pattern reads to the end of what has come
 * (open-match.ts), the decision waits for more.
 */
import { type Carrier, carriers, rightToLeft } from './carriers.ts';
import { CONTEXT_LENGTH, type Detector, holds, recognize } from './detector.ts';
import { detectors } from './detectors.ts';
import { createNormalizedText, RIGHT_TO_LEFT } from './normalize.ts';
import { longestMatch, openPattern } from './open-match.ts';

/** An entity in a text. Offsets in UTF-16 units of what was sent. */
export interface Finding {
  start: number;
  end: number;
  type: string;
  /** How sure, 0 to 1. */
  score: number;
  why: string[];
  /** In which way of writing it was hidden, the outermost first. */
  via: string[];
  /** What it is, as the normalised copy or the hidden text has it. */
  value: string;
}

/** One that looks for a pattern: for an entity, or for a way of writing that may hide one. */
interface Finder {
  /** What it can find. */
  types: readonly string[];
  pattern: RegExp;
  open: RegExp;
  hint: string | RegExp;
  /** How far a match reaches. */
  longest: number;
  /** Whether a match in which nothing is found holds no other. */
  whole: boolean;
  /** What is found in a match, with offsets within it. */
  find(match: string, before: string, checked: Checked): Finding[];
}

/** What checks have said in a text, by detector and match: who writes a number often has it checked once. */
type Checked = Map<Detector, Map<string, boolean | number>>;
/** Matches of a detector that are remembered. */
const MOST_CHECKED = 256;

function checkOnce(detector: Detector, match: string, checked: Checked): boolean | number {
  if (!detector.check) return true;
  const known = checked.get(detector) ?? new Map<string, boolean | number>();
  checked.set(detector, known);
  let length = known.get(match);
  if (length === undefined) {
    length = detector.check(match);
    if (known.size >= MOST_CHECKED) known.clear();
    known.set(match, length);
  }
  return length;
}

export interface Scan {
  /** Reads a further piece; gives what is found for certain, and up to where all is decided. */
  push(piece: string, last?: boolean): { findings: Finding[]; settled: number };
}

/** How often a hidden text may hide another. */
const DEEPEST = 2;
/** More than any pattern looks behind. */
const LOOK_BEHIND = 16;
/** How much further than a match its region reaches: more than any hint is long. */
const MARGIN = 64;

const detectorFinders = detectors.map((detector): Finder & { detector: Detector } => ({
  detector,
  types: [detector.type],
  pattern: detector.pattern,
  open: openPattern(detector.pattern),
  hint: detector.hint,
  longest: longestMatch(detector.pattern),
  whole: false,
  find(match, before, checked) {
    const found = recognize(detector, match, before, () => checkOnce(detector, match, checked));
    return found ? [{ start: 0, end: found.value.length, type: detector.type, ...found, via: [] }] : [];
  },
}));

function carrierFinder(carrier: Carrier, depth: number): Finder {
  const wanted = detectorFinders.filter(({ detector }) => carrier.types?.(detector) ?? true);
  return {
    types: wanted.map(({ detector }) => detector.type),
    pattern: carrier.pattern,
    open: openPattern(carrier.pattern),
    hint: carrier.hint,
    longest: longestMatch(carrier.pattern),
    whole: true,
    find(match, before, checked) {
      const decoded = carrier.decode(match);
      if (!decoded || decoded.text === match) return [];
      const finders = carrier.types ? wanted : [...wanted, ...carriersAt(depth + 1)];
      const { findings } = scanWith(finders, { before, checked }).push(decoded.text, true);
      return findings.map(({ start, end, ...rest }) => {
        const { starts, ends } = decoded;
        const places =
          starts && ends ? [starts[start], starts[end - 1], ends[start], ends[end - 1]] : [0, match.length];
        return {
          ...rest,
          start: Math.min(...places),
          end: Math.max(...places),
          via: [carrier.name, ...rest.via],
        };
      });
    },
  };
}

const byDepth: Finder[][] = [];
function carriersAt(depth: number): Finder[] {
  if (depth >= DEEPEST) return [];
  byDepth[depth] ??= carriers.map((carrier) => carrierFinder(carrier, depth));
  return byDepth[depth];
}

/**
 * A scan for entities, hidden ones too.
 * @param between called between finders: what it throws ends the scan
 * @param wanted which types are looked for; others may be found, where one way of hiding hides both
 */
export function createScan(
  between: () => void = () => {},
  wanted: (type: string) => boolean = () => true,
): Scan {
  const main = scanWith(
    [...detectorFinders, ...carriersAt(0)].filter(({ types }) => types.some(wanted)),
    { between },
  );
  let backwards: Scan | undefined;
  let [read, recent] = [0, ''];
  return {
    push(piece, last = false) {
      const found = main.push(piece, last);
      const first = backwards ? 0 : piece.indexOf(RIGHT_TO_LEFT);
      if (!backwards && first >= 0) {
        const before = recent + piece.slice(0, first);
        backwards = scanWith([carrierFinder(rightToLeft, 0)], {
          between,
          directions: true,
          from: read + first,
          before: before.slice(-CONTEXT_LENGTH),
        });
      }
      recent = (recent + piece).slice(-CONTEXT_LENGTH);
      read += piece.length;
      if (!backwards) return found;
      const more = backwards.push(piece.slice(first), last);
      return {
        findings: [...found.findings, ...more.findings],
        settled: Math.min(found.settled, more.settled),
      };
    },
  };
}

interface Options {
  between?: () => void;
  directions?: boolean;
  from?: number;
  /** What stands before the text, for words that speak for or against. */
  before?: string;
  checked?: Checked;
}

function scanWith(
  finders: readonly Finder[],
  { between, directions, from, before = '', checked = new Map() }: Options,
): Scan {
  const view = createNormalizedText({ directions: directions ?? false, from: from ?? 0 });
  /** Of each finder, from where in the copy nothing is decided. */
  const undecided = finders.map(() => 0);
  const contextOf = (at: number): string => {
    const text = view.text.slice(Math.max(0, at - CONTEXT_LENGTH), at);
    return at < CONTEXT_LENGTH && view.forgotten === 0 ? (before + text).slice(-CONTEXT_LENGTH) : text;
  };

  function lookFor(
    finder: Finder,
    from: number,
    last: boolean,
    findings: Finding[],
    regions: Regions,
  ): number {
    const { text, forgotten } = view;
    const { pattern, open, find } = finder;
    let at = from - forgotten;
    // What is open reaches to the end, and no match is longer than the longest.
    const limit = last ? text.length : firstMatch(open, text, Math.max(at, text.length - finder.longest));
    if (at >= limit) return from;
    for (const [start, end] of regions(finder)) {
      if (end <= at) continue;
      if (start >= limit) break;
      const offset = Math.max(0, Math.max(at, start) - LOOK_BEHIND);
      const region = text.slice(offset, end);
      at = Math.max(at, start);
      while (at < limit) {
        pattern.lastIndex = at - offset;
        const match = pattern.exec(region);
        const first = offset + (match?.index ?? limit);
        if (!match || first >= limit) break;
        // One without its hint would not have been looked at, had another hint not come behind it.
        if (!holds(match[0], finder.hint)) {
          at = first + 1;
          continue;
        }
        const found = find(match[0], contextOf(first), checked);
        for (const each of found) {
          const [begins, ends] = [forgotten + first + each.start, forgotten + first + each.end];
          findings.push({ ...each, start: view.startOf(begins), end: view.endOf(ends - 1) });
        }
        // What is no match may hold one a little further on; what carries nothing was read to its end.
        at = first + Math.max(1, finder.whole ? match[0].length : 0, ...found.map((each) => each.end));
      }
    }
    return Math.max(at, limit) + forgotten;
  }

  return {
    push(piece, last = false) {
      view.push(piece, last);
      const findings: Finding[] = [];
      const regions = regionsOf(view.text);
      finders.forEach((finder, i) => {
        between?.();
        undecided[i] = lookFor(finder, undecided[i], last, findings, regions);
      });
      const end = view.forgotten + view.text.length;
      const settled = Math.min(end, ...undecided);
      const place = view.startOf(settled);
      if (settled - view.forgotten > 2 * CONTEXT_LENGTH) view.forget(settled - CONTEXT_LENGTH);
      return { findings, settled: place };
    },
  };
}

/** Where a pattern first matches from a place on; the end of the text, if nowhere. */
function firstMatch(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

type Region = readonly [start: number, end: number];
type Regions = (finder: Finder) => readonly Region[];

const nowhere: readonly never[] = [];

/**
 * The parts of a text in which a finder's pattern can match: those around its hints, as far as a match reaches. Finders
 * with the same hint share where it is.
 */
function regionsOf(text: string): Regions {
  const known = new Map<string | RegExp, readonly number[]>();
  return ({ hint, longest }) => {
    let found = known.get(hint);
    if (!found) {
      // Most hints are nowhere, and for them nothing is made.
      found = holds(text, hint) ? places(text, hint) : nowhere;
      known.set(hint, found);
    }
    if (found.length === 0) return nowhere;
    const reach = longest + MARGIN;
    const regions: Region[] = [];
    for (let i = 0; i < found.length; i++) {
      const start = Math.max(0, found[i] - reach);
      while (found[i + 1] - found[i] <= 2 * reach) i++;
      regions.push([start, found[i] + reach]);
    }
    return regions;
  };
}

function places(text: string, hint: string | RegExp): number[] {
  const found: number[] = [];
  if (typeof hint === 'string') {
    for (let at = text.indexOf(hint); at >= 0; at = text.indexOf(hint, at + hint.length)) found.push(at);
    return found;
  }
  hint.lastIndex = 0;
  for (let match = hint.exec(text); match; match = hint.exec(text)) found.push(match.index);
  return found;
}
