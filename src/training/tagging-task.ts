/** Learning what stands where in texts: windows of words, in which texts follow each other as in life. */
import { labelsOf } from '../architecture/classifier.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { type TaggerConfig, taggerLoss, taggerParameters } from '../architecture/tagger.ts';
import { openLabelDataset } from '../data/labels/label-dataset.ts';
import { createRandom, mix } from '../data/random.ts';
import type { TaggedText } from '../data/tags/tagged-text.ts';
import { reachOf, typesOf } from '../filtering/tag.ts';
import { tagFeaturesOf, type Word, wordsOfText } from '../filtering/tag-features.ts';
import { createSpanReader } from '../filtering/tag-spans.ts';
import { featureIds } from '../filtering/text-features.ts';
import { drawer } from './classification-task.ts';
import type { TaggingTrainingConfig } from './config.ts';
import { numberIn, Tensor } from './runtime.ts';
import type { Feeds, TrainingTask } from './task.ts';

/** A word with its tag, by its place in the configuration; -1 where it is not known. */
interface TaggedWord extends Word {
  tag: number;
}

/**
 * Opens the data and describes the task.
 * @throws Error where data and configuration do not fit
 */
export function taggingTask(config: TaggingTrainingConfig): TrainingTask {
  const { model, batch_size: batch, seed } = config;
  const dataset = openLabelDataset(config.data);
  const types = typesOf(model);
  if (types.join() !== dataset.labels.join()) {
    throw new Error(
      `The data in ${config.data} has the types ${dataset.labels.join(', ')}, the model's id2label ${types.join(', ')}: make them equal.`,
    );
  }
  const train = dataset.split<TaggedText>('train');
  if (train.length === 0) throw new Error(`The training split of ${config.data} has no texts.`);
  const draw = drawer(train);
  const held = dataset.split<TaggedText>('validation');
  if (held.length === 0) throw new Error(`The validation split of ${config.data} has no texts.`);
  const windows = Array.from(
    { length: Math.min(held.length, config.evaluation_texts) },
    (_, i, count = held) =>
      taggedWords(
        count[Math.floor((i * held.length) / Math.min(held.length, config.evaluation_texts))],
        types,
      ).slice(0, model.max_words),
  );
  return {
    parameters: taggerParameters(model),
    loss(graph) {
      const { loss, parameters, logits } = taggerLoss(graph, model, batch);
      return { loss, parameters, outputs: { logits } };
    },
    batchSize: batch,
    unit: 'text',
    unitsPerExample: 1,
    flopsPerUnit: flopsPerWindow(model),
    bound: [],
    fingerprint: dataset.fingerprint,
    batch(first) {
      const random = createRandom(mix(seed ^ mix(first + 1)));
      return feeds(
        Array.from({ length: batch }, () => filledWindow(draw, types, config, random)),
        model,
        (word) => damaged(word, config, random),
      );
    },
    async evaluate(session, parameters) {
      let [sum, batches, right, found, wanted] = [0, 0, 0, 0, 0];
      const tags = labelsOf(model).length;
      for (let first = 0; first < windows.length; first += batch) {
        const some = Array.from({ length: batch }, (_, i) => windows[(first + i) % windows.length]);
        const inputs = feeds(some, model, (word) => tagFeaturesOf(word, model));
        const { loss, logits } = await session.run({ ...parameters, ...inputs });
        sum += numberIn(loss);
        batches++;
        for (const [i, words] of some.slice(0, windows.length - first).entries()) {
          // Of the most of a text's words it is not known whether they are found in vain.
          if (words.some(({ tag }) => tag < 0)) continue;
          const at = i * model.max_words * tags;
          const said = spansIn(words.length, types, (word) =>
            softmax((logits.data as Float32Array).subarray(at + word * tags, at + (word + 1) * tags)),
          );
          const true_ = spansIn(words.length, types, (word) => oneHot(words[word].tag, tags));
          found += said.size;
          wanted += true_.size;
          right += [...said].filter((span) => true_.has(span)).length;
        }
      }
      return {
        validation_loss: sum / batches,
        ...(found + wanted > 0 && { validation_f1: (2 * right) / (found + wanted) }),
      };
    },
    lossName: 'Loss (nats a word)',
  };
}

/** A text's words with their tags. */
function taggedWords({ text, spans, unknown = [] }: TaggedText, types: readonly string[]): TaggedWord[] {
  return wordsOfText(text).map((word) => {
    const within = ({ start, end }: { start: number; end: number }) => word.from >= start && word.to <= end;
    const span = spans.find(within);
    if (!span) return { ...word, tag: unknown.some(within) ? -1 : 0 };
    const before = text.slice(span.start, word.from).trim() === '';
    return { ...word, tag: 1 + 2 * types.indexOf(span.type) + (before ? 0 : 1) };
  });
}

/** As many words as the model reads: texts one after the other, the last cut off, or a part of one that is longer. */
function filledWindow(
  draw: (place: number) => TaggedText,
  types: readonly string[],
  config: TaggingTrainingConfig,
  random: () => number,
): TaggedWord[] {
  const { max_words: room } = config.model;
  const { before, behind } = reachOf(config.model);
  const window: TaggedWord[] = [];
  while (window.length < room) {
    const words = cased(taggedWords(draw(random()), types), config, random);
    if (window.length > 0) {
      // A line of its own, a paragraph, or the next sentence.
      const kind = random();
      if (kind < 0.6) window.push({ start: 0, text: kind < 0.35 ? '\n' : '\n\n', apart: false, tag: 0 });
      if (words.length > 0) words[0] = { ...words[0], apart: kind >= 0.6 };
    } else if (words.length > room) {
      const start = Math.floor(random() * (words.length - room + 1));
      words.splice(0, start);
      // What stands before the window is not seen.
      if (start > 0) for (let i = 0; i < before; i++) words[i] = { ...words[i], tag: -1 };
    }
    window.push(...words);
    // The text may end here.
    if (random() < 0.2) break;
  }
  const cut = window.slice(0, room);
  if (window.length > room) for (let i = room - behind; i < room; i++) cut[i] = { ...cut[i], tag: -1 };
  return cut;
}

/** Words in small letters or in capitals, sometimes. */
function cased(
  words: TaggedWord[],
  { lower_casing, upper_casing, emphasis }: TaggingTrainingConfig,
  random: () => number,
): TaggedWord[] {
  const kind = random();
  if (kind < lower_casing) return words.map((word) => ({ ...word, text: word.text.toLowerCase() }));
  const [all, some] = [lower_casing + upper_casing, lower_casing + upper_casing + emphasis];
  if (kind < some)
    return words.map((word) =>
      kind < all || isCapitalised(word) ? { ...word, text: word.text.toUpperCase() } : word,
    );
  return words;
}

const isCapitalised = ({ text }: Word) => /^\p{Lu}/u.test(text);

/** Features of which some are missing: what is left has to be enough. */
function damaged(
  word: Word,
  { model, word_dropout, capital_dropout, feature_dropout }: TaggingTrainingConfig,
  random: () => number,
): number[] {
  const [shape, ...rest] = tagFeaturesOf(word, model);
  if (random() < (isCapitalised(word) ? capital_dropout : word_dropout)) return [shape];
  return [shape, ...rest.filter(() => random() >= feature_dropout)];
}

/** The inputs of the loss graph. */
function feeds(
  windows: readonly TaggedWord[][],
  model: TaggerConfig,
  featuresOf: (word: TaggedWord) => number[],
): Feeds {
  const { max_words, features_per_word } = model;
  const count = labelsOf(model).length;
  const tags = new Float32Array(windows.length * max_words * count);
  for (const [i, words] of windows.entries()) {
    for (const [j, { tag }] of words.entries()) if (tag >= 0) tags[(i * max_words + j) * count + tag] = 1;
  }
  const ids = featureIds(
    windows.map((words) => words.map(featuresOf)),
    model,
  );
  return {
    input_ids: new Tensor('int64', ids, [windows.length, max_words, features_per_word]),
    tags: new Tensor('float32', tags, [windows.length, max_words, count]),
  };
}

/** Spans by their places and types. */
function spansIn(
  words: number,
  types: readonly string[],
  scoresOf: (word: number) => ArrayLike<number>,
): Set<string> {
  const reader = createSpanReader(types);
  const spans = Array.from({ length: words }, (_, i) => reader.next(scoresOf(i)));
  return new Set(
    [...spans, reader.end()].flatMap((span) => (span ? [`${span.first}-${span.end} ${span.type}`] : [])),
  );
}

const oneHot = (at: number, count: number) => Array.from({ length: count }, (_, i) => Number(i === at));

function softmax(logits: Float32Array): Float32Array {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** The layers meet every word, three times over: forward, and backward to both factors. */
function flopsPerWindow(model: TaggerConfig): number {
  const [table, ...rest] = taggerParameters(model);
  return 6 * model.max_words * (countNumbers(rest) + table.shape[1] * model.features_per_word);
}
