/** What preparing data did: counted while it runs, told at the end. */
import { dirname, basename } from 'node:path';
import type { Cleaned } from './clean.ts';
import { maskPersonalData } from './personal.ts';
import type { Problem } from './problems.ts';
import type { SplitManifest } from './shards.ts';

export interface Report {
  options: { language: string; kind: string; seed: number; validation: number };
  documents: { read: number; kept: number; dropped: number; train: number; validation: number };
  /** Why documents were dropped, the most frequent reason first, with a few examples. */
  dropped: { reason: string; count: number; examples: { source: string; text: string }[] }[];
  /** How many documents each repair changed. */
  repairs: Record<string, number>;
  /** How many pieces of personal data of each kind were replaced. */
  personal: Record<string, number>;
  /** Read and kept by folder. */
  sources: { source: string; read: number; kept: number }[];
  /** How many kept documents have up to so many words. */
  lengths: { upTo: number; count: number }[];
  words: number;
  /** What was wrong with the input. */
  problems: Problem[];
  problem_count: number;
  tokenizer?: { vocabulary: number; bytes_per_token: number };
  splits?: Record<'train' | 'validation', SplitManifest>;
}

const EXAMPLES = 5;
const EXAMPLE_LENGTH = 280;
const PROBLEMS = 1000;
const lengthSteps = [50, 100, 200, 300, 400, 600, 800, 1200, 2000, 5000, 20_000, Infinity];

/** Counts as documents come by. */
export function createTally({ language, kind, seed, validation }: Report['options']) {
  const reasons = new Map<string, Report['dropped'][number]>();
  const sources = new Map<string, Report['sources'][number]>();
  const repairs: Record<string, number> = {};
  const personal: Record<string, number> = {};
  const problems: Problem[] = [];
  const lengths = lengthSteps.map((upTo) => ({ upTo, count: 0 }));
  const placed = { train: 0, validation: 0 };
  let [read, words, problemCount] = [0, 0, 0];

  const arrived = (source: string) => {
    read++;
    const folder = basename(dirname(source.split('#')[0])) || source;
    let row = sources.get(folder);
    if (!row) sources.set(folder, (row = { source: folder, read: 0, kept: 0 }));
    row.read++;
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
    dropped(source: string, reason: string, text: string): void {
      arrived(source);
      let row = reasons.get(reason);
      if (!row) reasons.set(reason, (row = { reason, count: 0, examples: [] }));
      row.count++;
      if (row.examples.length < EXAMPLES) {
        row.examples.push({ source: basename(source), text: maskPersonalData(text.slice(0, EXAMPLE_LENGTH)).text });
      }
    },
    kept(source: string, cleaned: Extract<Cleaned, { kept: true }>): void {
      arrived(source).kept++;
      for (const name of cleaned.repairs) count(repairs, name);
      for (const [name, by] of Object.entries(cleaned.personal)) count(personal, name, by);
      words += cleaned.words;
      lengths.find(({ upTo }) => cleaned.words <= upTo)!.count++;
    },
    placed(split: 'train' | 'validation'): void {
      placed[split]++;
    },
    documentsIn: (split: 'train' | 'validation') => placed[split],
    report(splits?: Report['splits'], vocabulary?: number): Report {
      const dropped = [...reasons.values()].sort((a, b) => b.count - a.count);
      const droppedCount = dropped.reduce((sum, row) => sum + row.count, 0);
      return {
        options: { language, kind, seed, validation },
        documents: { read, kept: read - droppedCount, dropped: droppedCount, ...placed },
        dropped,
        repairs,
        personal,
        sources: [...sources.values()].sort((a, b) => b.read - a.read),
        lengths: lengths.map(({ upTo, count }) => ({ upTo: upTo === Infinity ? -1 : upTo, count })),
        words,
        problems,
        problem_count: problemCount,
        tokenizer: splits && vocabulary ? { vocabulary, bytes_per_token: splits.train.bytes / splits.train.tokens } : undefined,
        splits,
      };
    },
  };
}
