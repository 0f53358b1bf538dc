/** What a classifier says of a text: for each label how likely it is, and whether that is enough. */
import type { InferenceSession, TensorConstructor } from 'onnxruntime-common';
import { z } from 'zod';
import { checkedFile } from './checked-file.ts';
import { laidOpen } from './laid-open.ts';
import { createNormalizedText } from './normalize.ts';
import { type FeatureConfig, featureIds, windowsOf } from './text-features.ts';

const configSchema = z.object({
  id2label: z.record(z.string(), z.string()),
  num_buckets: z.number().int().min(2),
  features_per_word: z.number().int().min(1).max(256),
  max_words: z.number().int().min(2).max(4096),
});

const thresholdSchema = z.strictObject({
  /** Of the line that makes a logit into the logit of a probability (Platt, 1999). */
  scale: z.number().positive(),
  offset: z.number(),
  /** The least probability at which the label is said to be there. */
  threshold: z.number().min(0).max(1),
  /** Whether the label alone is reason to flag a text. */
  flags: z.boolean(),
});
export type Threshold = z.infer<typeof thresholdSchema>;
/** `thresholds.json` of a classifier's folder: by label. */
export type Thresholds = Record<string, Threshold>;

export interface Judgement {
  /** Whether a label that flags is there. */
  flagged: boolean;
  categories: Record<string, boolean>;
  /** Probabilities from 0 to 1. */
  scores: Record<string, number>;
}

export interface ClassifierFiles {
  /** The parsed `config.json` and `thresholds.json`. */
  config: unknown;
  thresholds: unknown;
  /** A session of `onnx/model.onnx`, on any onnxruntime, with its tensors. */
  session: InferenceSession;
  Tensor: TensorConstructor;
  /** Lets others have the thread for a moment: awaited now and then while a long text is judged. */
  pause?: () => Promise<void>;
}

export interface Classifier {
  labels: readonly string[];
  thresholds: Thresholds;
  /**
   * Judges a text of any length; one longer than the model reads at a time is read in windows that overlap, and has
   * each label as much as the window that has it most. Where the text is spelt with look-alikes, or hides words in
   * escapes, Base64 or overridden directions, what it says then is judged, too, and the most of all counts.
   */
  judge(text: string, signal?: AbortSignal): Promise<Judgement>;
}

/** @throws Error naming the field of a file that is not right */
export function createClassifier({ config, thresholds, ...runtime }: ClassifierFiles): Classifier {
  const { id2label, ...features } = checkedFile(configSchema, config, 'config.json', 'the classifier');
  const limits = checkedFile(
    z.record(z.string(), thresholdSchema),
    thresholds,
    'thresholds.json',
    'the classifier',
  );
  const labels = Object.values(id2label);
  const missing = labels.find((label) => !Object.hasOwn(limits, label));
  if (missing) throw new Error(`thresholds.json lacks the label "${missing}" that config.json has.`);
  return {
    labels,
    thresholds: limits,
    async judge(text, signal) {
      const read = (form: string) =>
        hasWords(form, features)
          ? logitsOf(form, features, runtime, signal)
          : new Float32Array(labels.length).fill(-Infinity);
      const logits = await read(text);
      for (const form of otherForms(text))
        for (const [i, logit] of (await read(form)).entries()) logits[i] = Math.max(logits[i], logit);
      const scores = labels.map((label, i) => probability(logits[i], limits[label]));
      const found = labels.map((label, i) => scores[i] >= limits[label].threshold);
      return {
        flagged: labels.some((label, i) => found[i] && limits[label].flags),
        categories: byLabel(labels, found),
        scores: byLabel(labels, scores),
      };
    },
  };
}

/** A text with its look-alikes normalised, and laid open, where that is another text. */
function otherForms(text: string): Set<string> {
  const read = new Set([text, laidOpen(text)]);
  const forms = new Set([...read].map(normalizedCopy));
  forms.delete(text);
  return forms;
}

/** The whole copy of a text, made in pieces: where its units stood is forgotten on the way. */
function normalizedCopy(text: string): string {
  const copy = createNormalizedText();
  let whole = '';
  for (let at = 0; at < text.length; at += PIECE) {
    copy.push(text.slice(at, at + PIECE), at + PIECE >= text.length);
    whole += copy.text;
    copy.forget(copy.forgotten + copy.text.length);
  }
  return whole;
}

/** Without a word there is nothing to judge. */
const hasWords = (text: string, config: FeatureConfig): boolean =>
  windowsOf(text, config).next().value!.length > 0;

const PIECE = 4096;
/** Windows that are judged in one run. */
const AT_ONCE = 4;
/** Runs without a pause, which may be as long as others take with the thread. */
const RUNS_IN_A_ROW = 8;

type Runtime = Pick<ClassifierFiles, 'session' | 'Tensor' | 'pause'>;

/** The largest logit of each label over the windows of a text. */
async function logitsOf(
  text: string,
  config: FeatureConfig,
  runtime: Runtime,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { value } = await logitsOfEach([text], config, runtime, signal).next();
  return value as Float32Array;
}

/** The same of many texts, one after the other, whose windows are judged together. */
export async function* logitsOfEach(
  texts: Iterable<string>,
  config: FeatureConfig,
  { session, Tensor, pause }: Runtime,
  signal?: AbortSignal,
): AsyncGenerator<Float32Array> {
  let largest: Float32Array | undefined;
  let [runs, current] = [0, 0];
  for (const some of inGroups(windowsOfEach(texts, config), AT_ONCE)) {
    if (++runs % RUNS_IN_A_ROW === 0) await pause?.();
    signal?.throwIfAborted();
    const shape = [some.length, config.max_words, config.features_per_word];
    const ids = featureIds(
      some.map(({ window }) => window),
      config,
    );
    const { logits } = await session.run({ input_ids: new Tensor('int64', ids, shape) }, ['logits']);
    const labels = logits.data.length / some.length;
    for (const [i, { text }] of some.entries()) {
      const values = (logits.data as Float32Array).subarray(i * labels, (i + 1) * labels);
      if (text !== current) {
        yield largest!;
        [largest, current] = [undefined, text];
      }
      largest = largest?.map((value, label) => Math.max(value, values[label])) ?? values.slice();
    }
  }
  if (largest) yield largest;
}

/** The windows of texts, each with the place of its text. */
function* windowsOfEach(
  texts: Iterable<string>,
  config: FeatureConfig,
): Generator<{ text: number; window: number[][] }> {
  let place = 0;
  for (const text of texts) {
    for (const window of windowsOf(text, config)) yield { text: place, window };
    place++;
  }
}

function* inGroups<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** The probability that a logit stands for. */
export const probability = (logit: number, { scale, offset }: Pick<Threshold, 'scale' | 'offset'>): number =>
  1 / (1 + Math.exp(-(scale * logit + offset)));

const byLabel = <T>(labels: readonly string[], values: readonly T[]): Record<string, T> =>
  Object.fromEntries(labels.map((label, i) => [label, values[i]]));
