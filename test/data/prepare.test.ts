import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { CleanDocument } from '../../src/data/document.ts';
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts';
import { createRandom } from '../../src/data/random.ts';
import { openDataset } from '../../src/data/shards.ts';
import { createEncoder } from '../../src/data/tokenizer/encoder.ts';
import { zip } from './archives.ts';
import { baseOptions, folder, stories, story } from './helpers.ts';

const record = (text: string, i: number) => `Tell story ${i}.<start>${text}<end>\n`;
const lines = (path: string): CleanDocument[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** A folder with sources, and a call that prepares them into a folder beside it. */
function workshop(files: Record<string, string | Uint8Array>) {
  const root = folder();
  const source = join(root, 'tales');
  mkdirSync(source);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(source, name), content);
  const out = join(root, 'out');
  return {
    root,
    source,
    out,
    run: (options: Partial<PrepareOptions> = {}) =>
      prepare({ ...baseOptions, sources: [source], out, ...options }),
  };
}

const fifty = stories(50).map(record).join('');

describe('the whole way', () => {
  test('every format ends in documents, tokens that decode to them, and a report that adds up', async () => {
    const json = (text: string) => JSON.stringify({ text });
    const { out, run } = workshop({
      'a.md': stories(20, 1).map(record).join(''),
      'b.jsonl.gz': gzipSync(stories(20, 101).map(json).join('\n')),
      'c.zip': zip({
        'inner/d.txt': story(201),
        'e.html': `<body><p>${story(202)}</p></body>`,
        'f.csv': `text\n"${story(203)}"\n`,
      }),
      'g.parquet': readFileSync(new URL('fixtures/questions.parquet', import.meta.url)),
      'h.md':
        '# A lamp\n\n##\nMira had\na lamp.\n\n##\nIt was a very old lamp, and it was the only one in the house by the river.\n\n##\n* License: [CC-BY]\n* Text: Ada\n',
    });
    const report = await run();
    expect(report.documents).toMatchObject({ read: 47, kept: 47, dropped: 0 });
    expect(report.problems).toEqual([]);
    expect(
      report.histograms.every(({ bins }) => bins.reduce((sum, { count }) => sum + count, 0) === 47),
    ).toBe(true);
    const [train, validation] = ['train', 'validation'].map((name) => lines(join(out, `${name}.jsonl`)));
    expect(train.length + validation.length).toBe(47);
    expect(validation.length).toBeGreaterThan(0);
    expect(new Set([...train, ...validation].map(({ id }) => id)).size).toBe(47);
    expect(readFileSync(join(out, 'ATTRIBUTION.txt'), 'utf8')).toBe(
      'A lamp: * License: [CC-BY] * Text: Ada\n',
    );
    expect([...train, ...validation].some(({ text }) => text.includes('License'))).toBe(false);

    const dataset = openDataset(out, { verify: true });
    const read = (name: string) => JSON.parse(readFileSync(join(out, name), 'utf8')) as object;
    const encoder = createEncoder(read('tokenizer.json'), read('tokenizer_config.json'));
    const split = dataset.split('validation');
    const text = encoder.decode([...split.readTokens(0, split.tokens)]);
    expect(text).toBe(
      validation.map((d) => `<s>${d.instruction ? `${d.instruction}<start>` : ''}${d.text}<end>\n`).join(''),
    );
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(report)),
    );
  });

  test('the same seed gives the same bytes, another seed others', async () => {
    const { root, run } = workshop({ 'a.md': fifty });
    for (const [name, seed] of [
      ['one', 1],
      ['two', 1],
      ['three', 2],
    ] as const)
      await run({ out: join(root, name), seed });
    const bytes = (name: string) =>
      readdirSync(join(root, name))
        .sort()
        .map((file) => [file, readFileSync(join(root, name, file), 'base64')]);
    expect(bytes('two')).toEqual(bytes('one'));
    expect(
      readFileSync(join(root, 'three/train-00000.bin')).equals(
        readFileSync(join(root, 'one/train-00000.bin')),
      ),
    ).toBe(false);
  });

  test('duplicates, exact and near, fall; what is held out has no relative in training', async () => {
    const random = createRandom(1);
    const near = (text: string, share: number) =>
      text.replace(/[a-z]{4,}/g, (word) => (random() < share ? `w${Math.floor(random() * 1e6)}` : word));
    const originals = stories(40).map((text, i) => text + story(1000 + i));
    const { out, run } = workshop({
      'a.md': originals.map(record).join(''),
      'b.md': originals
        .map((text) => text.toUpperCase())
        .map(record)
        .join(''),
      'c.md': originals
        .map((text) => near(text, 0.004))
        .map(record)
        .join(''),
      'd.md': originals
        .map((text, i) => `${text}\n\n${story(2000 + i, 6)}`)
        .map(record)
        .join(''),
    });
    const { dropped } = await run({ validation: 0.25 });
    const count = (name: string) => dropped.find(({ reason }) => reason === name)?.count ?? 0;
    expect(count('exact duplicate')).toBeGreaterThanOrEqual(40);
    expect(count('near duplicate')).toBeGreaterThan(25);
    const firstLine = (document: CleanDocument) => document.text.slice(0, 60).toLowerCase();
    const train = new Set(lines(join(out, 'train.jsonl')).map(firstLine));
    const validation = lines(join(out, 'validation.jsonl'));
    expect(validation.length).toBeGreaterThan(5);
    expect(validation.filter((document) => train.has(firstLine(document)))).toEqual([]);
  });

  test('short answers are told apart by what was asked', async () => {
    const { run } = workshop({
      'a.jsonl': Array.from({ length: 12 }, (_, i) =>
        JSON.stringify({
          question: `Is ${i * 17} an even number, or is it odd?`,
          answer: i % 2 === 0 ? 'Even.' : 'Odd.',
        }),
      ).join('\n'),
    });
    expect((await run()).documents).toMatchObject({ read: 12, kept: 12 });
  });

  test('a tokenizer that is there is taken; one that lacks the marks is refused', async () => {
    const { root, out, run } = workshop({ 'a.md': fifty });
    await run();
    const other = join(root, 'other');
    const report = await run({ out: other, tokenizer: join(out, 'tokenizer.json'), vocabSize: 4096 });
    expect(readFileSync(join(other, 'tokenizer.json'), 'utf8')).toBe(
      readFileSync(join(out, 'tokenizer.json'), 'utf8'),
    );
    expect(report.tokenizer?.vocabulary).toBe(320);
    writeFileSync(join(root, 'bad.json'), '{"model":{"vocab":{"a":0}},"added_tokens":[]}');
    await expect(run({ tokenizer: join(root, 'bad.json') })).rejects.toThrow('lacks <s>, <start>, <end>');
    await expect(run({ tokenizer: join(root, 'none.json') })).rejects.toThrow('no tokenizer');
  });

  test('a limit of documents', async () => {
    const { run } = workshop({ 'a.md': fifty });
    expect((await run({ limit: 7 })).documents.read).toBe(7);
  });
});

describe('broken input', () => {
  test('is counted and named, and the rest is prepared', async () => {
    const { root, source, run } = workshop({
      'a.md': fifty,
      'b.jsonl.gz': gzipSync(
        stories(9, 900)
          .map((text) => JSON.stringify({ text }))
          .join('\n'),
      ).subarray(0, 300),
      'c.zip': 'PK\x03\x04 and no more',
      'd.txt': Buffer.concat([Buffer.from(story(700)), Buffer.from([0xff, 0xfe, 0xc0])]),
      'e.md': new Uint8Array(2000),
      'f.jsonl': '{"title":"no text"}\n{oh\n',
      'g.exe': 'x',
      'h.txt': '',
    });
    mkdirSync(join(source, 'empty'));
    const report = await run({ sources: [source, join(root, 'missing.md'), join(root, '*.nothing')] });
    expect(report.documents.kept).toBeGreaterThanOrEqual(50);
    const named = Object.fromEntries(
      report.problems.map(({ source: where, kind }) => [where.split('/').at(-1), kind]),
    );
    expect(named).toMatchObject({
      'b.jsonl.gz': expect.stringMatching('broken'),
      'c.zip': 'broken archive',
      'd.txt': 'bad UTF-8',
      'e.md': 'not text',
      'f.jsonl': 'no text field',
      'g.exe': 'unknown format',
      'h.txt': 'empty',
      empty: 'nothing found',
      'missing.md': 'unreadable',
      '*.nothing': 'nothing found',
    });
    expect(report.problem_count).toBeGreaterThanOrEqual(11);
  });

  test('nothing left is an error that says why, and leaves nothing behind', async () => {
    const { root, run } = workshop({ 'a.txt': 'Too short.' });
    await expect(run()).rejects.toThrow(/Nothing is left to train on: 1 documents were read.*too few words/);
    await expect(run({ sources: [join(root, 'none')] })).rejects.toThrow(/Nothing is left.*no such file/);
    expect(readdirSync(root)).toEqual(['tales']);
  });

  test('one document alone is trained on, and it is said that nothing is held out', async () => {
    const { run } = workshop({ 'a.txt': story(1) });
    for (const seed of [1, 2, 3]) {
      const report = await run({ seed });
      expect(report.documents).toMatchObject({ train: 1, validation: 0 });
      expect(report.problems.map(({ kind }) => kind)).toEqual(['nothing held out']);
    }
  });

  test.each([
    [{ sources: [] }, 'at least one file'],
    [{ validation: 1 }, 'share held out'],
    [{ validation: Number.NaN }, 'share held out'],
    [{ seed: 1.5 }, 'seed'],
    [{ vocabSize: 258 }, 'vocabulary'],
    [{ language: 'xx' }, '"xx" is no language'],
    [{ limit: 0 }, 'At least one document'],
  ] as const)('%j is refused with a sentence', async (options, message) => {
    await expect(workshop({ 'a.md': fifty }).run(options as Partial<PrepareOptions>)).rejects.toThrow(
      message,
    );
  });
});

describe('the output folder', () => {
  test('prepared data is replaced, other things are not touched', async () => {
    const { out, run, root } = workshop({ 'a.md': fifty });
    await run();
    writeFileSync(join(out, 'stale.bin'), '');
    await run();
    expect(existsSync(join(out, 'stale.bin'))).toBe(false);

    const mine = join(root, 'mine');
    mkdirSync(mine);
    writeFileSync(join(mine, 'thesis.txt'), 'years of work');
    await expect(run({ out: mine })).rejects.toThrow('not empty');
    expect(readdirSync(mine)).toEqual(['thesis.txt']);
    await run({ out: mine, force: true });
    expect(readFileSync(join(mine, 'thesis.txt'), 'utf8')).toBe('years of work');
    expect(existsSync(join(mine, 'dataset.json'))).toBe(true);
    await expect(run({ out: join(mine, 'thesis.txt') })).rejects.toThrow('is a file');
  });

  test('a folder that holds a source is never replaced; one inside a source is not read again', async () => {
    const { source, run } = workshop({ 'a.md': fifty });
    for (const force of [false, true]) await expect(run({ out: source, force })).rejects.toThrow();
    expect(readdirSync(source)).toEqual(['a.md']);
    const inside = join(source, 'prepared');
    const first = await run({ out: inside });
    expect((await run({ out: inside })).documents).toEqual(first.documents);
  });

  test('stopped on the way, it leaves what was there', async () => {
    const { root, out, run } = workshop({ 'a.md': fifty });
    await run();
    const before = readFileSync(join(out, 'report.json'), 'utf8');
    for (const at of ['read and clean', 'split', 'tokenizer: count', 'tokens of train']) {
      const stop = new AbortController();
      const stopped = run({
        seed: 2,
        signal: stop.signal,
        onProgress: ({ stage }) => stage === at && stop.abort(),
      });
      await expect(stopped).rejects.toThrow('abort');
    }
    expect(readFileSync(join(out, 'report.json'), 'utf8')).toBe(before);
    expect(readdirSync(root).sort()).toEqual(['out', 'tales']);
  });

  test('work that a killed process left is cleared away', async () => {
    const { root, run } = workshop({ 'a.md': fifty });
    // No process has a number this high.
    mkdirSync(join(root, '.out.partial-99999999'));
    await run();
    expect(readdirSync(root).sort()).toEqual(['out', 'tales']);
  });
});

describe('the report', () => {
  test('shows what was dropped without running it or telling on anyone', async () => {
    const evil = `<script>alert("x")</script> & write to jo.doe@mail.co.uk. ${'buy now '.repeat(200)}`;
    const { out, run } = workshop({ 'a.md': fifty, 'b.txt': evil });
    const report = await run();
    expect(report.dropped).toMatchObject([{ count: 1, examples: [{ source: 'tales/b.txt' }] }]);
    const page = readFileSync(join(out, 'report.html'), 'utf8');
    expect(page).not.toContain('<script');
    expect(page).toContain('&lt;script&gt;');
    expect(`${page}${JSON.stringify(report)}`).not.toContain('jo.doe');
    expect(page).not.toMatch(/(src|href)\s*=|url\(/);
    expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(6);
  });
});
