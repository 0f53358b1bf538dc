/** Learning which labels texts have: windows of words, drawn by their weights, seen through typing errors. */
import {
  type ClassifierConfig,
  classifierLoss,
  classifierParameters,
  labelsOf,
} from '../architecture/classifier.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { type LabelledText, openLabelDataset } from '../data/labels/label-dataset.ts';
import { createRandom, mix } from '../data/random.ts';
import { featureIds, featuresOf, wordsOf } from '../filtering/text-features.ts';
import type { ClassificationTrainingConfig } from './config.ts';
import { auroc, type Judged } from './ranking.ts';
import { numberIn, Tensor } from './runtime.ts';
import type { Feeds, TrainingTask } from './task.ts';

/**
 * Opens the data and describes the task.
 * @throws Error where data and configuration do not fit
 */
export function classificationTask(config: ClassificationTrainingConfig): TrainingTask {
  const { model, batch_size: batch, seed } = config;
  const dataset = openLabelDataset(config.data);
  const labels = labelsOf(model);
  if (labels.join() !== dataset.labels.join()) {
    throw new Error(
      `The data in ${config.data} has the labels ${dataset.labels.join(', ')}, the model's id2label ${labels.join(', ')}: make them equal.`,
    );
  }
  const train = dataset.split('train');
  if (train.length === 0) throw new Error(`The training split of ${config.data} has no texts.`);
  const draw = drawer(train);
  const held = validationTexts(dataset.split('validation'), config);
  return {
    parameters: classifierParameters(model),
    loss(graph) {
      const { loss, parameters, logits } = classifierLoss(graph, model, batch);
      return { loss, parameters, outputs: { logits } };
    },
    batchSize: batch,
    unit: 'text',
    unitsPerExample: 1,
    flopsPerUnit: flopsPerText(model),
    bound: [],
    fingerprint: dataset.fingerprint,
    batch(first) {
      const random = createRandom(mix(seed ^ mix(first + 1)));
      const texts = Array.from({ length: batch }, () => draw(random()));
      const windows = texts.map(({ text, labels: known }) => {
        const ordinary = config.excerpts > 0 && labels.every((label) => known[label] === 0);
        const read = ordinary && random() < config.excerpts ? excerpt : anyWindow;
        return damaged(read(wordsOf(text), model, random), config, random);
      });
      return feeds(windows, texts, model);
    },
    async evaluate(session, parameters) {
      let sum = 0;
      const judged: Judged[][] = labels.map(() => []);
      for (let first = 0; first < held.length; first += batch) {
        // The last batch begins again from the front.
        const texts = Array.from({ length: batch }, (_, i) => held[(first + i) % held.length]);
        const windows = texts.map(({ text }) =>
          wordsOf(text)
            .slice(0, model.max_words)
            .map((word) => featuresOf(word, model)),
        );
        const { loss, logits } = await session.run({ ...parameters, ...feeds(windows, texts, model) });
        sum += numberIn(loss);
        for (const [i, { labels: known }] of texts.slice(0, held.length - first).entries()) {
          for (const [j, label] of labels.entries()) {
            const score = (logits.data as Float32Array)[i * labels.length + j];
            if (known[label] !== undefined) judged[j].push({ score, positive: known[label] === 1 });
          }
        }
      }
      const areas = judged.map(auroc).filter((area) => !Number.isNaN(area));
      return {
        validation_loss: sum / Math.ceil(held.length / batch),
        ...(areas.length > 0 && { validation_auroc: areas.reduce((a, b) => a + b) / areas.length }),
      };
    },
    lossName: 'Loss (nats a label)',
  };
}

/** Texts at places from 0 to 1, as often as they weigh. */
export function drawer<Text extends { weight: number }>(texts: readonly Text[]): (place: number) => Text {
  let sum = 0;
  const ends = Float64Array.from(texts, ({ weight }) => (sum += weight));
  return (place) => {
    let [from, to] = [0, texts.length - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (ends[middle] > place * sum) to = middle;
      else from = middle + 1;
    }
    return texts[from];
  };
}

/** Validation texts spread evenly over the split. */
function validationTexts(
  texts: readonly LabelledText[],
  config: ClassificationTrainingConfig,
): LabelledText[] {
  const count = Math.min(texts.length, config.evaluation_texts);
  if (count === 0) throw new Error(`The validation split of ${config.data} has no texts.`);
  return Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)]);
}

/** As many words as the model reads, from the beginning of a text as often as from within. */
function anyWindow(words: string[], { max_words }: ClassifierConfig, random: () => number): string[] {
  const room = Math.max(0, words.length - max_words);
  const start = random() < 0.5 ? 0 : Math.floor(random() * (room + 1));
  return words.slice(start, start + max_words);
}

/** A few words from anywhere in a text, now and then over and over: as people write who want little, or try something. */
function excerpt(words: string[], { max_words }: ClassifierConfig, random: () => number): string[] {
  const count = 1 + Math.floor(8 * random() ** 2);
  const start = Math.floor(random() * Math.max(1, words.length - count + 1));
  const some = words.slice(start, start + count);
  const times = random() < 0.8 ? 1 : 1 + Math.floor((random() * max_words) / Math.max(1, some.length));
  return Array.from({ length: times }, () => some)
    .flat()
    .slice(0, max_words);
}

/** The features of words, some misspelt, some words unseen, and some features missing: what is left has to be enough. */
function damaged(
  words: readonly string[],
  { model, misspelling, blanks, word_dropout, feature_dropout }: ClassificationTrainingConfig,
  random: () => number,
): number[][] {
  // Not the first: a text has at least one word.
  return words.map((word, i) => {
    if (blanks > 0 && i > 0 && random() < blanks) return [];
    const [whole, ...runs] = featuresOf(random() < misspelling ? misspelt(word, random) : word, model);
    const kept = runs.filter(() => random() >= feature_dropout);
    return kept.length > 0 && random() < word_dropout ? kept : [whole, ...kept];
  });
}

/** A letter too few, a letter twice, or two letters the wrong way round. */
function misspelt(word: string, random: () => number): string {
  const letters = [...word];
  if (letters.length < 3) return word;
  const at = Math.floor(random() * (letters.length - 1));
  const [a, b] = letters.slice(at, at + 2);
  const errors = [[a], [a, a, b], [b, a]];
  letters.splice(at, 2, ...errors[Math.floor(random() * errors.length)]);
  return letters.join('');
}

/** The inputs of the loss graph. */
function feeds(
  windows: readonly (readonly number[])[][],
  texts: readonly LabelledText[],
  config: ClassifierConfig,
): Feeds {
  const { max_words, features_per_word } = config;
  const names = labelsOf(config);
  const shape = [texts.length, names.length];
  const known = (value: (label: number | undefined) => number) =>
    new Tensor(
      'float32',
      Float32Array.from(texts.flatMap(({ labels }) => names.map((name) => value(labels[name])))),
      shape,
    );
  return {
    input_ids: new Tensor('int64', featureIds(windows, config), [texts.length, max_words, features_per_word]),
    labels: known((label = 0) => label),
    known: known((label) => (label === undefined ? 0 : 1)),
  };
}

/** The layers meet every word, three times over: forward, and backward to both factors. */
function flopsPerText(config: ClassifierConfig): number {
  const [table, ...rest] = classifierParameters(config);
  const perWord = countNumbers(rest.filter(({ name }) => name.startsWith('layers.')));
  const perFeature = table.shape[1] * config.features_per_word;
  return 6 * config.max_words * (perWord + perFeature);
}
