/** What a tagger says of words: how likely each begins something, is inside of it, or is neither. */
import type { InferenceSession, TensorConstructor } from 'onnxruntime-common';
import { z } from 'zod';
import { checkedFile } from './checked-file.ts';
import { probability } from './classify.ts';
import { tagFeaturesOf, type Word } from './tag-features.ts';
import type { WordSpan } from './tag-spans.ts';
import { featureIds } from './text-features.ts';

const configSchema = z.object({
  id2label: z.record(z.string(), z.string()),
  num_buckets: z.number().int().min(2),
  features_per_word: z.number().int().min(2).max(256),
  max_words: z.number().int().min(2).max(4096),
  windows: z.array(z.array(z.number().int()).min(1)).min(1),
});

/** Of the line that makes the logit of a span's probability into that of how often it is right (Platt, 1999). */
const lineSchema = z.strictObject({ scale: z.number().positive(), offset: z.number() });
/** `calibration.json` of a tagger's folder: by type. */
export type Calibration = Record<string, z.infer<typeof lineSchema>>;

export interface TaggerFiles {
  /** The parsed `config.json` and `calibration.json`. */
  config: unknown;
  calibration: unknown;
  /** A session of `onnx/model.onnx`, on any onnxruntime, with its tensors. */
  session: InferenceSession;
  Tensor: TensorConstructor;
}

/** How many words a tagger sees before and behind a word. */
export interface Reach {
  before: number;
  behind: number;
}

export interface Tagger {
  /** What it finds, in the order of its tags. */
  types: readonly string[];
  reach: Reach;
  featuresOf(word: Pick<Word, 'text' | 'apart'>): number[];
  /**
   * Probabilities of `O`, and of `B` and `I` of each type, for the words from `from` on, one word after the other. The
   * words before it, and those behind `to`, as far as the tagger sees, are their surroundings; where there are none the
   * text begins or ends.
   *
   * @param words the features of words
   * @param between called between runs of the network: what it throws ends the work
   */
  tag(words: readonly number[][], from: number, to: number, between?: () => void): Promise<Float32Array>;
  /** How likely a span is right, 0 to 1. */
  score(span: WordSpan): number;
}

/** How far a model sees whose layers see these words. */
export function reachOf({ windows }: { windows: readonly (readonly number[])[] }): Reach {
  const sum = (most: (window: readonly number[]) => number) =>
    windows.reduce((all, window) => all + Math.max(0, most(window)), 0);
  return {
    before: sum((window) => -Math.min(...window)),
    behind: sum((window) => Math.max(...window)),
  };
}

/** The types that a model finds, in the order of its tags. */
export const typesOf = ({ id2label }: { id2label: Record<string, string> }): string[] =>
  Object.values(id2label)
    .filter((tag) => tag.startsWith('B-'))
    .map((tag) => tag.slice(2));

/** Windows that are read in one run. */
const AT_ONCE = 8;
/** Steps in which probabilities are told: the last bits of a sum hang on what is computed beside it. */
const STEPS = 4096;

interface Waiting {
  words: readonly number[][];
  resolve(scores: Float32Array): void;
  reject(reason: unknown): void;
}

/** @throws Error naming the field of a file that is not right */
export function createTagger({ config: json, calibration: lines, session, Tensor }: TaggerFiles): Tagger {
  const config = checkedFile(configSchema, json, 'config.json', 'the tagger');
  const calibration = checkedFile(z.record(z.string(), lineSchema), lines, 'calibration.json', 'the tagger');
  const types = typesOf(config);
  const missing = types.find((type) => !Object.hasOwn(calibration, type));
  if (missing) throw new Error(`calibration.json lacks the type "${missing}" that config.json has.`);
  const { max_words, features_per_word } = config;
  const tags = 1 + 2 * types.length;
  const reach = reachOf(config);
  const useful = max_words - reach.before - reach.behind;
  if (useful < 1)
    throw new Error('config.json of the tagger is not right. max_words: it sees further than that.');

  const queue: Waiting[] = [];
  let busy = false;
  /** Runs what waits, whoever asked for it: a text's windows beside those of others. */
  async function drain(): Promise<void> {
    busy = true;
    while (queue.length > 0) {
      const some = queue.splice(0, AT_ONCE);
      try {
        const ids = featureIds(
          some.map(({ words }) => words),
          config,
        );
        const input_ids = new Tensor('int64', ids, [some.length, max_words, features_per_word]);
        const { scores } = await session.run({ input_ids }, ['scores']);
        const values = (scores.data as Float32Array).map((score) => Math.round(score * STEPS) / STEPS);
        for (const [i, { resolve }] of some.entries())
          resolve(values.subarray(i * max_words * tags, (i + 1) * max_words * tags));
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
    }
    busy = false;
  }
  function run(words: readonly number[][]): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      queue.push({ words, resolve, reject });
      if (!busy) void drain();
    });
  }

  return {
    types,
    reach,
    featuresOf: (word) => tagFeaturesOf(word, config),
    async tag(words, from, to, between = () => {}) {
      const result = new Float32Array((to - from) * tags);
      for (let first = from; first < to; ) {
        const runs: Promise<void>[] = [];
        while (runs.length < AT_ONCE && first < to) {
          const start = Math.max(0, first - reach.before);
          const window = words.slice(start, start + max_words);
          // Behind its last words a window does not see what follows, unless nothing does.
          const seen = start + window.length === words.length ? window.length : max_words - reach.behind;
          const end = Math.min(to, start + seen);
          const at = first;
          runs.push(
            run(window).then((scores) => {
              result.set(scores.subarray((at - start) * tags, (end - start) * tags), (at - from) * tags);
            }),
          );
          first = end;
        }
        await Promise.all(runs);
        between();
      }
      return result;
    },
    score({ type, probability: mean }) {
      return Math.round(100 * probability(logit(mean), calibration[type])) / 100;
    },
  };
}

/** The logit of a probability, of one that is not quite 0 or 1. */
export function logit(p: number): number {
  const inside = Math.min(1 - 1 / STEPS, Math.max(1 / STEPS, p));
  return Math.log(inside / (1 - inside));
}
