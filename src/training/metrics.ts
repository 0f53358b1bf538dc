/** What a run measured, a line of JSON for each step: `metrics.jsonl` in its folder. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What an evaluation on the held-out data measures. */
export interface Measures {
  validation_loss: number;
  /** For text. */
  validation_bits_per_byte?: number;
  /** For labels: the mean of their areas under the ROC curve. */
  validation_auroc?: number;
  /** For tags: F1 of the spans that are found, beginning, end and type being right. */
  validation_f1?: number;
  /** For images: the loss at evenly spaced levels of noise, from little to much. */
  validation_loss_by_noise?: number[];
}

/** One line of `metrics.jsonl`. */
export interface StepMetrics extends Partial<Measures> {
  step: number;
  /** Tokens, texts or images seen since the run began. */
  tokens?: number;
  texts?: number;
  images?: number;
  /** Of the batch: mean negative log-likelihood in nats a token or a label, or mean squared error. */
  loss: number;
  gradient_norm: number;
  learning_rate: number;
  tokens_per_second?: number;
  texts_per_second?: number;
  images_per_second?: number;
}

/** Adds a step's line. */
export function appendMetrics(folder: string, metrics: StepMetrics): void {
  appendFileSync(join(folder, 'metrics.jsonl'), `${JSON.stringify(metrics)}\n`);
}

/** What a run has learnt so far, step by step. */
export function readMetrics(folder: string): StepMetrics[] {
  const path = join(folder, 'metrics.jsonl');
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as StepMetrics];
      } catch {
        return []; // The empty last line, or a line cut by a kill: its step is done again.
      }
    });
}

/** Steps after the checkpoint are done again; their lines go. */
export function trimMetrics(folder: string, step: number): void {
  const lines = readMetrics(folder).filter((metrics) => metrics.step <= step);
  writeFileSync(join(folder, 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
