import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openLabelDataset, splitNames } from '../../src/data/labels/label-dataset.ts';
import { prepareLabels } from '../../src/data/labels/prepare-labels.ts';
import { loadClassifierFolder } from '../../src/service/classifier-folder.ts';
import { findModelFolders, loadModelFolder } from '../../src/service/model-folder.ts';
import { classificationTask } from '../../src/training/classification-task.ts';
import { type ClassificationTrainingConfig, parseTrainingConfig } from '../../src/training/config.ts';
import { exportModel } from '../../src/training/export.ts';
import { readMetrics } from '../../src/training/metrics.ts';
import { train } from '../../src/training/trainer.ts';
import { run } from '../cli/run-wick.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

/** Fruit and tools, in sentences of their own and in rows of which some say only half. */
const recipe = {
  labels: ['fruit', 'tool'],
  ...{ probes: ['probes.json'], per_probe: 5 },
  // A seed by which each side gets some of each kind.
  ...{ seed: 3, validation: 0.2, test: 0.2, per_sentence: 25, sentences: ['sentences.json'] },
  sources: [
    {
      path: 'rows.jsonl',
      text: 'said',
      rules: [
        { if: { kind: 'fruit' }, labels: { fruit: 1 }, share: 2 },
        { if: { kind: 'tool' }, labels: { fruit: 0, tool: 'is_tool' } },
      ],
    },
  ],
};
/** What no pattern says. */
const probes = {
  words: { ...{ month: 'base64:TWFyY2gKTWF5', fruit: ['apple', 'plum'] } },
  families: [
    { class: 'ripe', labels: { fruit: 1, tool: 0 }, sentences: ['in {month} we picked a {fruit}'] },
    {
      class: 'neither',
      labels: { '*': 0 },
      sentences: ['in {month} it snowed', 'we sing with my aunt until Friday'],
    },
  ],
};
const sentences = {
  words: {
    fruit: ['apple', 'pear', 'plum', 'cherry', 'lemon', 'peach', 'melon', 'fig'],
    tool: ['hammer', 'saw', 'drill', 'wrench', 'chisel', 'pliers', 'spanner', 'axe'],
    who: ['Anna', 'Ben', 'Carla', 'Dan', 'Eve', 'my {kin}'],
    kin: ['aunt', 'uncle', 'cousin'],
    day: ['Monday', 'Tuesday', 'Friday'],
    // "March" and "May".
    month: 'base64:TWFyY2gKTWF5',
  },
  families: [
    {
      labels: { fruit: 1, tool: 0 },
      sentences: [
        ...[
          '{who} eats a ripe {fruit} on {day}',
          'a {fruit} and a {fruit} for {who}',
          'on {day} the {fruit} fell',
        ],
        ...['{who} planted a {fruit} tree', 'the {fruit} was sweet, said {who}', '{fruit} juice for {who}'],
      ],
    },
    {
      labels: { fruit: 0, tool: 1 },
      sentences: [
        ...[
          '{who} bought a {tool} on {day}',
          'the {tool} of {who} broke',
          'a rusty {tool} lay there on {day}',
        ],
        ...['{who} sharpens the {tool}', 'lend me your {tool}, {who}', 'where is the {tool}, {who}?'],
      ],
    },
    {
      labels: { '*': 0 },
      sentences: [
        ...['{who} sleeps on {day}', 'it rained on {day}, said {who}', '{who} and {who} met on {day}'],
        ...['we sing with {who} until {day}', 'on {day} {who} was ill', 'nothing happened to {who} on {day}'],
      ],
    },
  ],
};

let folder: string;
let data: string;
beforeAll(async () => {
  folder = temporaryFolder();
  data = join(folder, 'data');
  writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
  writeFileSync(join(folder, 'sentences.json'), JSON.stringify(sentences));
  writeFileSync(join(folder, 'probes.json'), JSON.stringify(probes));
  const names = ['quince', 'apricot', 'guava', 'papaya', 'hoe', 'rake', 'shovel', 'pickaxe'];
  const rows = names.flatMap((name, i) =>
    Array.from({ length: 10 }, (_, n) => ({
      said: `number ${n}: the ${name} &amp; its ${'abcdefghij'[n]} box`,
      kind: i < 4 ? 'fruit' : 'tool',
      is_tool: n % 2 === 0 ? 1 : null,
    })),
  );
  const lines = [
    ...rows.map((row) => JSON.stringify(row)),
    '{broken',
    '{"other": 1}',
    JSON.stringify(rows[0]),
  ];
  writeFileSync(join(folder, 'rows.jsonl'), lines.join('\n'));
});

const configuration = (out: string, changes: object = {}) => ({
  task: 'text-classification',
  model: {
    id2label: { 0: 'fruit', 1: 'tool' },
    ...{ num_buckets: 512, features_per_word: 8, max_words: 12 },
    ...{ hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1 },
  },
  ...{ data, out, batch_size: 16, max_steps: 120, learning_rate: 0.02, warmup_steps: 10 },
  ...{ evaluate_every: 60, checkpoint_every: 40, ema_decay: 0.9, informative_labels: ['tool'] },
  ...changes,
});

describe('a classifier', () => {
  it('gets its data from files and from patterns, parted by both, and says what was wrong with them', async () => {
    const options = { recipe: join(folder, 'recipe.json'), from: folder, out: data };
    const report = await prepareLabels(options);
    // A row that is there twice, and a sentence that a probe has said before.
    expect(report.dropped['exact duplicate']).toBe(2);
    expect(report.problems).toEqual([
      expect.objectContaining({
        kind: 'broken record',
        count: 2,
        detail: expect.stringContaining('line 81'),
      }),
    ]);
    const dataset = openLabelDataset(data);
    const splits = splitNames.map((name) => dataset.split(name));
    expect(splits.map(({ length }) => length)).toEqual(splitNames.map((name) => report.splits[name].texts));
    for (const split of splits) expect(split.length).toBeGreaterThan(20);
    const all = splits.flat();
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
    const row = (start: string) => all.find(({ text }) => text.startsWith(start))!;
    expect(row('number 0: the quince & its')).toMatchObject({ labels: { fruit: 1 }, source: 'rows.jsonl' });
    expect(row('number 0: the hoe').labels).toEqual({ fruit: 0, tool: 1 });
    expect(row('number 1: the hoe').labels).toEqual({ fruit: 0 });
    // Sentences of one pattern are on one side.
    const sides = splits.map(
      (split) => split.filter(({ text }) => /^on \w+ the \w+ fell$/.test(text)).length,
    );
    expect(sides.filter((count) => count > 0)).toHaveLength(1);
    // Probes are held out.
    const probed = splits.map((split) => split.filter(({ source }) => source === 'probes.json'));
    expect(probed.map(({ length }) => length)).toEqual([0, 0, 7]);
    expect(probed[2].map(({ class: tried }) => tried)).toEqual([
      ...Array<string>(4).fill('ripe'),
      ...Array<string>(3).fill('neither'),
    ]);
    // The shares of rules, each spread over its texts.
    const weighs = splits[0].filter(({ labels, source }) => source === 'rows.jsonl' && labels.fruit === 1);
    expect(weighs.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(2);
    await prepareLabels({ ...options, out: join(folder, 'again') });
    expect(openLabelDataset(join(folder, 'again')).fingerprint).toBe(dataset.fingerprint);
  });

  it('refuses recipes and sentences that are not right', async () => {
    const wrong = async (change: object, words: object, message: RegExp) => {
      const at = temporaryFolder();
      writeFileSync(join(at, 'recipe.json'), JSON.stringify({ ...recipe, ...change }));
      writeFileSync(join(at, 'sentences.json'), JSON.stringify({ ...sentences, ...words }));
      writeFileSync(join(at, 'probes.json'), JSON.stringify(probes));
      const options = { recipe: join(at, 'recipe.json'), from: folder, out: join(at, 'data') };
      await expect(prepareLabels(options)).rejects.toThrow(message);
    };
    await wrong({ labels: ['fruit'] }, {}, /speaks of the label "tool"; the recipe has fruit/);
    await wrong({ sources: [], sentences: [] }, {}, /names no source/);
    await wrong({}, { words: { ...sentences.words, kin: ['{who}'] } }, /lead back to/);
    await wrong({}, { words: { ...sentences.words, day: 'base64:?' } }, /words\.day/);
    await wrong({}, { words: {} }, /has the slot \{who\}, for which there are no words/);
    await wrong(
      { sentences: [], probes: [], sources: [{ ...recipe.sources[0], path: 'none' }] },
      {},
      /Nothing was read/,
    );
  });

  it('learns, goes on from a checkpoint bit for bit, and judges words that it never saw by their parts', async () => {
    const [straight, stopped, model] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const result = await train(configuration(straight), { threads: 1 });
    expect(result.texts).toBe(120 * 16);
    expect(result.validation_auroc).toBeGreaterThan(0.85);
    const stop = new AbortController();
    await train(configuration(stopped), {
      threads: 1,
      signal: stop.signal,
      onProgress: ({ step }) => step === 50 && stop.abort(),
    });
    await train(configuration(stopped), { threads: 1 });
    const losses = (run: string) =>
      readMetrics(run).map(({ loss, validation_loss }) => [loss, validation_loss]);
    expect(losses(stopped)).toEqual(losses(straight));

    const { files } = await exportModel(straight, model);
    expect(files.map(({ name }) => name)).toEqual(['config.json', 'thresholds.json', 'onnx/model.onnx']);
    expect(findModelFolders(model)).toEqual([]);
    await expect(loadModelFolder(model)).rejects.toThrow(/tokenizer.json/);
    const classifier = await loadClassifierFolder(model, { threads: 1 });
    const judge = async (text: string) => (await classifier.judge(text)).scores;
    const [fruit, tool, none] = [
      await judge('the CH3RRY was sweet, said Eve'),
      await judge('the h-a-m-m-e-r of Ben'),
      await judge('Carla sleeps on Monday'),
    ];
    expect(fruit.fruit).toBeGreaterThan(0.7);
    expect(tool.tool).toBeGreaterThan(0.7);
    expect(Math.max(none.fruit, none.tool, fruit.tool, tool.fruit)).toBeLessThan(0.3);
    // Cyrillic letters that look like Latin ones.
    const [latin, mixed] = [
      'the cherry was sweet, said Eve',
      'the \u0441h\u0435rry was sw\u0435\u0435t, said Eve',
    ];
    expect((await judge(mixed)).fruit).toBeGreaterThanOrEqual((await judge(latin)).fruit - 1e-6);
    // A long text has each label as much as that window of 12 words, 9 after the one before, that has it most.
    const words =
      `${'we sleep '.repeat(15)}the apple was sweet ${'it rained '.repeat(15)}lend me a saw`.split(' ');
    const windows = Array.from({ length: 8 }, (_, i) => words.slice(9 * i, 9 * i + 12).join(' '));
    const each = await Promise.all(windows.map(judge));
    const whole = await judge(words.join(' '));
    for (const label of ['fruit', 'tool'])
      expect(whole[label]).toBeCloseTo(Math.max(...each.map((scores) => scores[label])), 5);
    expect(Math.min(whole.fruit, whole.tool)).toBeGreaterThan(none.fruit);
    expect(await classifier.judge('the apple was sweet, said Anna')).toMatchObject({ flagged: true });
    const informed = await classifier.judge('lend me your drill, Anna');
    expect(informed).toMatchObject({ flagged: false, categories: { tool: true } });
    await expect(classifier.judge('an apple', AbortSignal.abort())).rejects.toThrow(/abort/i);
    for (const empty of ['', ' \n', '\u200b'])
      expect(await classifier.judge(empty)).toMatchObject({ flagged: false, scores: { fruit: 0, tool: 0 } });

    const test = join(data, 'test.jsonl');
    const chart = join(folder, 'reliability.png');
    const { stdout } = await run([
      'eval',
      'filter',
      test,
      '--model',
      model,
      '--reliability',
      chart,
      ...['--by', 'class', '--json'],
    ]);
    expect(await sharp(chart).metadata()).toMatchObject({ format: 'png', width: 800 });
    const { texts, categories, flagged, by } = JSON.parse(stdout);
    expect(by).toEqual({
      ripe: { texts: 4, flagged: expect.any(Number) },
      neither: { texts: 3, flagged: expect.any(Number) },
    });
    expect(by.ripe.flagged).toBeGreaterThan(by.neither.flagged);
    expect(texts).toBe(openLabelDataset(data).split('test').length);
    expect(categories.fruit.auroc).toBeGreaterThan(0.85);
    expect(categories.fruit.positive + categories.fruit.negative).toBe(texts);
    expect(flagged.positive).toBe(categories.fruit.positive);

    const thresholds = JSON.parse(readFileSync(join(model, 'thresholds.json'), 'utf8')) as object;
    writeFileSync(join(model, 'thresholds.json'), JSON.stringify({ ...thresholds, tool: { scale: -1 } }));
    await expect(loadClassifierFolder(model)).rejects.toThrow(
      /thresholds.json of the classifier.*tool.scale/,
    );
  });

  it('sees the share of words that it is told to, and the first of each text', () => {
    const seen = (blanks: number) => {
      const task = classificationTask(
        parseTrainingConfig(configuration(temporaryFolder(), { blanks })) as ClassificationTrainingConfig,
      );
      const counts = { first: 0, others: 0 };
      for (let step = 0; step < 20; step++) {
        const ids = task.batch(step).input_ids;
        const [texts, words, features] = ids.dims;
        for (let word = 0; word < texts * words; word++) {
          if (
            !(ids.data as BigInt64Array)
              .subarray(word * features, (word + 1) * features)
              .some((id) => id > 0n)
          )
            continue;
          counts[word % words === 0 ? 'first' : 'others']++;
        }
      }
      return counts;
    };
    const [all, half, few] = [seen(0), seen(0.5), seen(0.99)];
    expect(all.first).toBe(20 * 16);
    expect([half.first, few.first]).toEqual([all.first, all.first]);
    expect(few.others / all.others).toBeLessThan(0.03);
    expect(half.others / all.others).toBeGreaterThan(0.4);
    expect(half.others / all.others).toBeLessThan(0.6);
  });

  it('refuses data of other labels, and settings that mean nothing', async () => {
    const out = temporaryFolder();
    const { model } = configuration(out);
    const other = { ...model, id2label: { 0: 'fruit', 1: 'tree' } };
    await expect(train(configuration(out, { model: other }))).rejects.toThrow(
      /labels fruit, tool, the model's/,
    );
    await expect(train(configuration(out, { misspelling: 2 }))).rejects.toThrow(/misspelling/);
    await expect(train(configuration(out, { blanks: -0.1 }))).rejects.toThrow(/blanks/);
    await expect(train(configuration(out, { data: out }))).rejects.toThrow(/holds no labels.json/);
  });
});
