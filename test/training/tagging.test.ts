import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openLabelDataset, splitNames } from '../../src/data/labels/label-dataset.ts';
import { prepareTags } from '../../src/data/tags/prepare-tags.ts';
import type { TaggedText } from '../../src/data/tags/tagged-text.ts';
import { loadPolicy } from '../../src/filtering/load-policy.ts';
import { filterTaggedText } from '../../src/filtering/tagged-stream.ts';
import { loadTaggerFolder } from '../../src/service/tagger-folder.ts';
import { exportModel } from '../../src/training/export.ts';
import { readMetrics } from '../../src/training/metrics.ts';
import { train } from '../../src/training/trainer.ts';
import { run } from '../cli/run-wick.ts';
import { tags } from '../fixtures/random-tagger.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

const letters = [...'abcdefghijklmnopqrstuvwxyz'];
/** More names than a list may have without some of them being held out. */
const names = letters.flatMap((a) => ['ora', 'elin', 'usk'].map((end) => a.toUpperCase() + end));
const recipe = {
  types: ['person_name', 'street_address'],
  ...{ seed: 1, validation: 0.25, test: 0.25, per_sentence: 40, held_out_words: 0.2 },
  ...{ sentences: ['sentences.json'], words: ['words.json'] },
  prose: [
    {
      path: 'prose.txt',
      plain: ['day'],
      named: { type: 'person_name', words: ['first'], not: ['town'] },
    },
  ],
};
const sentences = {
  entities: { person: 'person_name', home: 'street_address' },
  words: {
    person: ['{first}', '{first} {first}', '{first} {first}'],
    home: ['{number} {first} Street, {town}', '{number} {town} Road'],
    number: ['12', '7', '430', '88'],
    town: ['Essen', 'Leeds', 'Turin', 'Hora'],
    day: ['Monday', 'Friday'],
  },
  families: [
    {
      share: 2,
      sentences: [
        ...['my name is {person}', 'call {person} on {day}', '{person} lives at {home}', 'signed, {person}'],
        ...[
          'ask for {person}.',
          'I am {person} of {home}',
          'send it to {home}',
          '{home} is where {person} is',
        ],
        ...['we met {person} at {home}', '{person} sleeps', 'is {person} at home?', 'I saw {person} run'],
        ...['tell {person} that I left {home}', '{person} and {person} met', 'by {person}', 'for {person}.'],
      ],
    },
    {
      sentences: [
        ...['it rained in {town} on {day}', 'we eat {number} apples', 'The train to {town} is late'],
        ...['{day} is a day', '{town} has {number} streets', 'the road is long', 'she slept until {day}'],
      ],
    },
  ],
};
const prose =
  'The tree was old. Tree by tree they fell, and the tree cried: Tora! On Monday Hora and Zelin saw Mordor. It was in the tree.';

let folder: string;
let data: string;
beforeAll(() => {
  folder = temporaryFolder();
  data = join(folder, 'data');
  writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
  writeFileSync(join(folder, 'sentences.json'), JSON.stringify(sentences));
  writeFileSync(join(folder, 'words.json'), JSON.stringify({ first: names }));
  writeFileSync(join(folder, 'prose.txt'), prose);
});

const configuration = (out: string, changes: object = {}) => ({
  task: 'token-classification',
  model: {
    ...tags,
    ...{ num_buckets: 512, features_per_word: 8, max_words: 24, embedding_size: 16, hidden_size: 16 },
    ...{ intermediate_size: 16, windows: [[-2, -1, 0, 1, 2]] },
  },
  ...{ data, out, batch_size: 16, max_steps: 150, learning_rate: 0.01, warmup_steps: 10 },
  ...{ evaluate_every: 60, checkpoint_every: 40, ema_decay: 0.9 },
  ...changes,
});

describe('a tagger', () => {
  it('gets its data from patterns and from prose, and knows of both what is to be found', async () => {
    const options = { recipe: join(folder, 'recipe.json'), from: folder, out: data };
    const report = await prepareTags(options);
    const dataset = openLabelDataset(data);
    const [training, validation, test] = splitNames.map((name) => dataset.split<TaggedText>(name));
    expect(report.splits.train.texts).toBe(training.length);
    const all = [...training, ...validation, ...test];
    for (const { text, spans } of all) {
      for (const { start, end, type } of spans)
        expect(text.slice(start, end)).toMatch(
          type === 'person_name' ? /^[A-Z][a-z]+( [A-Z][a-z]+)?$/ : /^\d+ \w+ (Street, \w+|Road)$/,
        );
    }
    // Sentences of one pattern are on one side, and names of the test are in no sentence that is learnt.
    for (const start of ['call ', 'ask for ', 'signed, ', 'my name ']) {
      const sides = [training, validation, test].filter((side) =>
        side.some(({ text }) => text.startsWith(start)),
      );
      expect(sides).toHaveLength(1);
    }
    const namesOf = (side: TaggedText[]) =>
      new Set(
        side.flatMap(({ text, spans, source }) =>
          source === 'prose.txt'
            ? []
            : spans.flatMap(
                ({ start, end }) => text.slice(start, end).match(/\b[A-Z](?:ora|elin|usk)\b/g) ?? [],
              ),
        ),
      );
    const [learnt, judged] = [namesOf(training), namesOf(test)];
    judged.delete('Hora');
    expect(judged.size).toBeGreaterThan(2);
    expect([...judged].filter((name) => learnt.has(name))).toEqual([]);
    // Of prose it is known that "Tree" is no name and "Tora" is one; "Hora" is a town, too.
    const told = all.filter(({ source }) => source === 'prose.txt');
    const marked = (parts: { start: number; end: number }[], text: string) =>
      parts.map(({ start, end }) => text.slice(start, end));
    const first = told.find(({ text }) => text.includes('Tora'))!;
    expect(marked(first.spans, first.text)).toEqual(['Tora', 'Zelin']);
    expect(marked(first.unknown!, first.text)).toEqual(expect.arrayContaining(['Hora', 'Mordor']));
    expect(marked(first.unknown!, first.text)).not.toContain('Tree');
    expect(marked(first.unknown!, first.text)).not.toContain('Monday');
    await prepareTags({ ...options, out: join(folder, 'again') });
    expect(openLabelDataset(join(folder, 'again')).fingerprint).toBe(dataset.fingerprint);
  });

  it('makes names up, puts others into prose, and holds probes out whole', async () => {
    const at = temporaryFolder();
    const [named] = recipe.prose;
    const changes = {
      ...{ probes: ['probes.json'], per_probe: 5, made_up: { share: 1, lists: ['first'] } },
      prose: [
        {
          ...{ ...named, path: 'prose.jsonl' },
          named: { ...named.named, after: ['polite'], replaced: { share: 1, by: 'person' } },
        },
      ],
    };
    const probes = {
      words: { polite: ['Mr'] },
      families: [{ class: 'loud', casing: 'upper', sentences: ['where is {person} of {town}?'] }],
    };
    writeFileSync(join(at, 'sentences.json'), JSON.stringify(sentences));
    writeFileSync(join(at, 'words.json'), JSON.stringify({ first: names }));
    writeFileSync(join(at, 'probes.json'), JSON.stringify(probes));
    const texts = letters.map(
      (letter) =>
        `A ${letter} wild tree: tree after tree, Tora Kelbo met Mr. Tree, and Kelbo saw the Mordor.`,
    );
    writeFileSync(join(at, 'prose.jsonl'), texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    writeFileSync(join(at, 'recipe.json'), JSON.stringify({ ...recipe, ...changes }));
    await prepareTags({ recipe: join(at, 'recipe.json'), from: at, out: join(at, 'data') });
    const dataset = openLabelDataset(join(at, 'data'));
    const [learnt, judged] = (['train', 'test'] as const).map((name) => dataset.split<TaggedText>(name));
    const found = ({ text, spans }: TaggedText) => spans.map(({ start, end }) => text.slice(start, end));

    const loud = judged.filter((row) => row.class === 'loud');
    expect(loud.length).toBeGreaterThan(1);
    for (const row of loud) {
      expect(row.text).toMatch(/^WHERE IS [A-Z ]+ OF [A-Z]+\?$/);
      expect(row.text).toContain(` ${found(row)[0]} OF `);
    }
    expect(learnt.some((row) => row.class === 'loud')).toBe(false);

    const known = new Set(names);
    const drawn = learnt.filter(({ source }) => source === 'sentences.json').flatMap(found);
    const words = drawn.flatMap((name) => name.match(/[A-Z][a-z]+/g) ?? []);
    expect(words.filter((word) => !known.has(word)).length).toBeGreaterThan(words.length / 4);

    const isProse = ({ source }: TaggedText) => source === 'prose.jsonl';
    for (const row of judged.filter(isProse)) expect(found(row)).toEqual(['Tora Kelbo', 'Tree', 'Kelbo']);
    const others = learnt.filter(isProse);
    expect(others.length).toBeGreaterThan(5);
    for (const row of others) {
      expect(found(row)).toHaveLength(3);
      expect(row.text).not.toContain('Kelbo');
      expect(row.unknown).toEqual([]);
    }
  });

  it('refuses recipes and sentences that are not right', async () => {
    const wrong = async (change: object, other: object, message: RegExp) => {
      const at = temporaryFolder();
      writeFileSync(join(at, 'recipe.json'), JSON.stringify({ ...recipe, ...change }));
      writeFileSync(join(at, 'sentences.json'), JSON.stringify({ ...sentences, ...other }));
      writeFileSync(join(at, 'words.json'), JSON.stringify({ first: names }));
      const options = { recipe: join(at, 'recipe.json'), from: folder, out: join(at, 'data') };
      await expect(prepareTags(options)).rejects.toThrow(message);
    };
    await wrong(
      { types: ['person_name'] },
      {},
      /finds "street_address"; the recipe has the types person_name/,
    );
    await wrong({ words: [] }, {}, /has the slot \{first\}, for which there are no words/);
    await wrong({ sentences: ['none.json'] }, {}, /none.json cannot be read as JSON/);
    await wrong({}, { entities: { nobody: 'person_name' } }, /no words for the entity \{nobody\}/);
    await wrong({ prose: [{ path: 'prose.txt', plain: ['what'] }] }, {}, /names the words "what"/);
    await wrong({ held_out_words: 2 }, {}, /held_out_words/);
    await wrong({ made_up: { share: 0.5, lists: ['last'] } }, {}, /makes up words of "last"/);
    // Lists that name lists that name lists are looked at once each.
    const deep = Array.from({ length: 40 }, (_, i) => [`w${i}`, [`{w${i + 1}} {w${i + 1}}`]]);
    const words = { ...sentences.words, ...Object.fromEntries(deep), w40: ['it'] };
    await wrong({}, { words, families: [{ sentences: ['{w0} {no}'] }] }, /the slot \{no\}/);
  });

  it('learns, goes on from a checkpoint bit for bit, and finds names that it never saw', async () => {
    const [straight, stopped, model] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const result = await train(configuration(straight), { threads: 1 });
    expect(result.validation_f1).toBeGreaterThan(0.5);
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
    expect(files.map(({ name }) => name)).toEqual(['config.json', 'calibration.json', 'onnx/model.onnx']);
    const tagger = await loadTaggerFolder(model, { threads: 1 });
    const policy = loadPolicy({
      ...{ version: 1, name: 'test', min_score: 0.3, rules: [{ entities: ['identity'], action: 'replace' }] },
      examples: [{ text: 'no', direction: 'input', gives: 'no' }],
    });
    const { text } = await filterTaggedText('my name is Belin Vusk', policy, 'input', tagger);
    expect(text).toBe('my name is [PERSON_NAME_1]');

    const { stdout } = await run(['eval', 'filter', join(data, 'test.jsonl'), '--tagger', model, '--json']);
    const { texts, types } = JSON.parse(stdout);
    expect(texts).toBe(openLabelDataset(data).split('test').length);
    expect(types.person_name.overlap_recall).toBeGreaterThan(0.5);

    const rows = join(folder, 'rows.jsonl');
    writeFileSync(rows, '{"text": "a", "spans": []}\n\n{"text": "b", "spans": [{"start": -1, "end": 1}]}\n');
    const wrong = await run(['eval', 'filter', rows, '--tagger', model]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/line 3: spans.0.start/)]);

    const calibration = JSON.parse(readFileSync(join(model, 'calibration.json'), 'utf8')) as object;
    writeFileSync(
      join(model, 'calibration.json'),
      JSON.stringify({ ...calibration, person_name: { scale: -1, offset: 0 } }),
    );
    await expect(loadTaggerFolder(model)).rejects.toThrow(
      /calibration.json of the tagger.*person_name.scale/,
    );
    await expect(loadTaggerFolder(folder)).rejects.toThrow(/config.json/);
  });

  it('refuses data of other types, and settings that mean nothing', async () => {
    const out = temporaryFolder();
    const { model } = configuration(out);
    const other = { ...model, id2label: { 0: 'O', 1: 'B-dog', 2: 'I-dog' } };
    await expect(train(configuration(out, { model: other }))).rejects.toThrow(
      /types person_name, street_address, the model's id2label dog/,
    );
    await expect(train(configuration(out, { lower_casing: 2 }))).rejects.toThrow(/lower_casing/);
    await expect(train(configuration(out, { data: out }))).rejects.toThrow(/holds no labels.json/);
  });
});
