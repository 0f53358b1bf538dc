/** What preparing data did: counted while it runs, told at the end. */
import { basename, dirname } from 'node:path';
import type { Measures } from './measures.ts';
import { replacePersonalData } from './personal-data.ts';
import type { Problem } from './problems.ts';
import type { SplitManifest } from './shards.ts';

export interface Report {
  options: { language: string; kind: string; seed: number; validation: number };
  documents: { read: number; kept: number; dropped: number; train: number; validation: number };
  /** How many documents were left after each stage. */
  funnel: { stage: string; documents: number }[];
  /** Why documents were dropped, the most frequent reason first, with a few examples. */
  dropped: { reason: string; count: number; examples: { source: string; text: string }[] }[];
  /** How many of the kept documents each repair changed. */
  repairs: Record<string, number>;
  /** How many pieces of personal data of each kind were replaced in the kept documents. */
  personal: Record<string, number>;
  /** Read and kept by folder. */
  sources: { source: string; read: number; kept: number; words: number }[];
  /** Kept documents by measures of quality: how many are up to each bound, and above the one before; -1 is no bound. */
  histograms: { name: string; bins: { upTo: number; count: number }[] }[];
  words: number;
  /** What was wrong with the input. */
  problems: Problem[];
  problem_count: number;
  tokenizer?: { vocabulary: number; bytes_per_token: number };
  splits?: Record<'train' | 'validation', SplitManifest>;
}

/** What is known of a kept document beside its text. */
export interface KeptFacts {
  repairs: string[];
  personal: Record<string, number>;
  words: number;
  /** In the order of `histograms`. */
  values: number[];
}

const EXAMPLES = 5;
const EXAMPLE_LENGTH = 280;
const PROBLEMS = 1000;

/** What is shown of the kept documents, and by which bounds. */
const histograms: readonly { name: string; value: (measures: Measures) => number; bounds: number[] }[] = [
  {
    name: 'Words in a document',
    value: (m) => m.words,
    bounds: [50, 100, 200, 300, 400, 600, 800, 1200, 2000, 5000, 20_000],
  },
  {
    name: 'Letters in a word, on average',
    value: (m) => m.meanWordLength,
    bounds: [3, 3.5, 3.75, 4, 4.25, 4.5, 4.75, 5, 5.5, 6],
  },
  {
    name: "Share of words that are among English's commonest",
    value: (m) => (m.words === 0 ? 0 : m.stopWords / m.words),
    bounds: [0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6],
  },
  {
    name: 'Share of text in sequences of five words that stood before',
    value: (m) => m.duplicateNgram[5],
    bounds: [0, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3],
  },
];

export function keptFacts({
  repairs,
  personal,
  measures,
}: {
  repairs: string[];
  personal: Record<string, number>;
  measures: Measures;
}): KeptFacts {
  return {
    repairs,
    personal,
    words: measures.words,
    values: histograms.map(({ value }) => Number(value(measures).toFixed(4))),
  };
}

/** Stages in their order; a document that is dropped falls out at one of them. */
const stages = ['read', 'clean', 'unlike any other', 'kept'] as const;
export type DropStage = 'clean' | 'exact' | 'near';

/** Counts as documents come by. */
export function createTally({ language, kind, seed, validation }: Report['options']) {
  const reasons = new Map<string, Report['dropped'][number]>();
  const sources = new Map<string, Report['sources'][number]>();
  const repairs: Record<string, number> = {};
  const personal: Record<string, number> = {};
  const problems: Problem[] = [];
  const bins = histograms.map(({ bounds }) => [...bounds, Infinity].map((upTo) => ({ upTo, count: 0 })));
  const placed = { train: 0, validation: 0 };
  const fell: Record<DropStage, number> = { clean: 0, exact: 0, near: 0 };
  let [read, kept, words, problemCount] = [0, 0, 0, 0];

  const rowOf = (source: string) => {
    const folder = dirname(source.split('#')[0]) || basename(source);
    let row = sources.get(folder);
    if (!row) {
      row = { source: folder, read: 0, kept: 0, words: 0 };
      sources.set(folder, row);
    }
    return row;
  };
  const count = (counts: Record<string, number>, name: string, by = 1) => {
    counts[name] = (counts[name] ?? 0) + by;
  };
  return {
    problem(problem: Problem): void {
      problemCount += problem.count ?? 1;
      if (problems.length < PROBLEMS) problems.push(problem);
    },
    arrived(source: string): void {
      read++;
      rowOf(source).read++;
    },
    get read() {
      return read;
    },
    dropped(stage: DropStage, source: string, reason: string, text: string): void {
      fell[stage]++;
      let row = reasons.get(reason);
      if (!row) {
        row = { reason, count: 0, examples: [] };
        reasons.set(reason, row);
      }
      row.count++;
      if (row.examples.length < EXAMPLES) {
        // Masked before it is cut, so that no half of an address or number is left at the edge.
        const masked = replacePersonalData(text.slice(0, 4 * EXAMPLE_LENGTH));
        row.examples.push({ source, text: masked.slice(0, EXAMPLE_LENGTH).toWellFormed() });
      }
    },
    kept(source: string, split: 'train' | 'validation', facts: KeptFacts): void {
      kept++;
      placed[split]++;
      words += facts.words;
      const row = rowOf(source);
      row.kept++;
      row.words += facts.words;
      for (const name of facts.repairs) count(repairs, name);
      for (const [name, by] of Object.entries(facts.personal)) count(personal, name, by);
      for (const [i, value] of facts.values.entries()) bins[i].find(({ upTo }) => value <= upTo)!.count++;
    },
    documentsIn: (split: 'train' | 'validation') => placed[split],
    problems,
    report(splits?: Report['splits'], vocabulary?: number): Report {
      const dropped = [...reasons.values()].sort((a, b) => b.count - a.count);
      const left = [read, read - fell.clean, read - fell.clean - fell.exact, kept];
      return {
        options: { language, kind, seed, validation },
        documents: { read, kept, dropped: read - kept, ...placed },
        funnel: stages.map((stage, i) => ({ stage, documents: left[i] })),
        dropped,
        repairs,
        personal,
        sources: [...sources.values()].sort((a, b) => b.read - a.read),
        histograms: histograms.map(({ name }, i) => ({
          name,
          bins: bins[i].map((bin) => ({ ...bin, upTo: bin.upTo === Infinity ? -1 : bin.upTo })),
        })),
        words,
        problems,
        problem_count: problemCount,
        tokenizer:
          splits && vocabulary && splits.train.tokens > 0
            ? { vocabulary, bytes_per_token: splits.train.bytes / splits.train.tokens }
            : undefined,
        splits,
      };
    },
  };
}

export type Tally = ReturnType<typeof createTally>;
