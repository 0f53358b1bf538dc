import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Problem } from '../../src/data/problems.ts';
import { readFile } from '../../src/data/read.ts';
import { listSources } from '../../src/data/sources.ts';
import { DOCUMENT_LIMIT, type RawRecord, textRecords } from '../../src/data/text-records.ts';
import { decodeText, LINE_LIMIT, splitLines } from '../../src/data/text-stream.ts';
import { zip } from './archives.ts';
import { folder, story } from './helpers.ts';

const parquet = readFileSync(new URL('fixtures/questions.parquet', import.meta.url));

/** What is read of one file under a name, and what is reported. */
async function read(name: string, content: string | Uint8Array, textField?: string) {
  const scratch = folder();
  const path = join(scratch, name);
  writeFileSync(path, content);
  const problems: Problem[] = [];
  const records: (RawRecord & { source: string })[] = [];
  for await (const record of readFile({ path, name }, (problem) => problems.push(problem), {
    scratch,
    textField,
  })) {
    records.push(record);
  }
  return {
    records,
    texts: records.map(({ text }) => text),
    problems,
    kinds: problems.map(({ kind }) => kind),
  };
}

async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < places.length; i++) yield bytes.subarray(places[i - 1], places[i]);
}

async function gather<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

describe('text', () => {
  test('any chunking gives the same records', async () => {
    const piece = fc.constantFrom(
      'a',
      'é',
      '😀',
      '\n',
      '\r\n',
      '<start>',
      '<end>',
      '<end>\n',
      '# T\n',
      '##\n',
      '* License: x\n',
      'Ask',
      ' it ',
      '\ufeff',
      '\u0000',
      '\xff',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.constantFrom('utf-8', 'utf16le', 'latin1'),
        fc.array(fc.nat(), { maxLength: 12 }),
        async (parts, encoding, cuts) => {
          const body = Buffer.from(parts.join(''), encoding as BufferEncoding);
          const bytes = encoding === 'utf16le' ? Buffer.concat([Buffer.from([0xff, 0xfe]), body]) : body;
          const run = async (where: readonly number[]) => {
            const problems: Problem[] = [];
            const report = (problem: Problem) => problems.push(problem);
            const lines = splitLines(decodeText(pieces(bytes, where), 'x', report), 'x', report, 20);
            return { records: await gather(textRecords(lines)), problems };
          };
          expect(await run(cuts)).toEqual(await run([]));
        },
      ),
      { numRuns: 400 },
    );
  });

  test('records: several in a file, ends missing, text around them', async () => {
    const { records, kinds } = await read(
      'a.md',
      'Tell A.<start>One.\n\nTwo.<end>\nTell B.<start>Three.\nTell C.<start>Four.<end>\n\n',
    );
    expect(records.map(({ instruction, text }) => [instruction, text])).toEqual([
      ['Tell A.', 'One.\n\nTwo.'],
      ['Tell B.', 'Three.'],
      ['Tell C.', 'Four.'],
    ]);
    expect(kinds).toEqual([]);
  });

  test('a storybook: pages joined, credits kept apart', async () => {
    const { records } = await read(
      'b.md',
      '# A tall man\n\n##\nHis hoe was\ntoo short.\n\n##\nThis man was\ntoo tall!\n\nYes.\n\n##\n* License: [CC-BY]\n* Text: Ada\n',
    );
    expect(records).toEqual([
      {
        source: 'b.md',
        text: '# A tall man\n\nHis hoe was too short.\n\nThis man was too tall!\n\nYes.',
        credit: 'A tall man: * License: [CC-BY] * Text: Ada',
      },
    ]);
  });

  test('a long text is cut where a paragraph ends, and nothing is lost', async () => {
    const paragraph = story(1, 6);
    const book = Array.from({ length: 400 }, (_, i) => `${i}. ${paragraph}`).join('\n\n');
    const { texts } = await read('book.txt', book);
    expect(texts.length).toBeGreaterThan(2);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(
      2 * DOCUMENT_LIMIT + paragraph.length,
    );
    expect(texts.join('\n\n')).toBe(book);
    const line = await read('line.txt', book.replaceAll('\n\n', ' '));
    expect(line.texts.length).toBeGreaterThan(1);
    expect(line.texts.join(' ').replace(/\s+/g, ' ')).toBe(book.replace(/\s+/g, ' '));
  });

  test('UTF-8 with a mark, UTF-16 either way', async () => {
    const text = 'Zoë said “hello” 😀.';
    const little = Buffer.from(`\ufeff${text}`, 'utf16le');
    expect((await read('a.txt', `\ufeff${text}`)).texts).toEqual([text]);
    expect((await read('a.txt', little)).texts).toEqual([text]);
    expect((await read('a.txt', Buffer.from(little).swap16())).texts).toEqual([text]);
  });

  test('bytes that are no UTF-8 are counted', async () => {
    const { texts, problems } = await read('a.txt', Buffer.from('caf\xe9 and na\xefve', 'latin1'));
    expect(texts).toEqual(['caf\ufffd and na\ufffdve']);
    expect(problems).toMatchObject([{ source: 'a.txt', kind: 'bad UTF-8', count: 2 }]);
  });

  test('binary data under the name of a text', async () => {
    expect(
      await read(
        'a.md',
        new Uint8Array(100_000).map((_, i) => (i * 7919) % 256),
      ),
    ).toMatchObject({ texts: [], kinds: ['not text'] });
  });

  test('a line over the limit is left out, its neighbours stay, and it is never held', async () => {
    const chunk = 'x'.repeat(1 << 20);
    async function* huge(): AsyncGenerator<string> {
      yield 'before\n';
      for (let i = 0; i < 1024; i++) yield chunk;
      yield '\nafter';
    }
    const problems: Problem[] = [];
    const before = process.memoryUsage().rss;
    const lines = await gather(splitLines(huge(), 'x', (problem) => problems.push(problem)));
    expect(lines).toEqual(['before', 'after']);
    expect(problems).toMatchObject([{ source: 'x', kind: 'too long' }]);
    expect(problems[0].detail).toContain(String(1024 << 20));
    // A gigabyte went by: what may be held is a line at its limit and what the collector has not yet taken.
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
    expect(LINE_LIMIT).toBeLessThan(5_000_000);
  });
});

describe('tables', () => {
  const rows = [
    { text: 'plain' },
    { instruction: 'Ask.', response: 'Answer.' },
    { instruction: 'Ask.', input: 'This.', output: 'Answer.' },
    { prompt: 'Ask.', completion: 'Answer.' },
    {
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'A?' },
        { role: 'assistant', content: 'B.' },
        { role: 'user', content: 'C?' },
        { role: 'assistant', content: 'D.' },
      ],
    },
  ];
  const expected = [
    [undefined, 'plain'],
    ['Ask.', 'Answer.'],
    ['Ask.\n\nThis.', 'Answer.'],
    ['Ask.', 'Answer.'],
    ['Be kind.\nA?', 'B.'],
    ['Be kind.\nC?', 'D.'],
  ];
  const pairs = (records: RawRecord[]) => records.map(({ instruction, text }) => [instruction, text]);

  test('jsonl: every form of row', async () => {
    const { records, kinds } = await read('a.jsonl', rows.map((row) => JSON.stringify(row)).join('\r\n'));
    expect(pairs(records)).toEqual(expected);
    expect(kinds).toEqual([]);
  });
  test('jsonl: broken lines and rows without text are counted, the others stay', async () => {
    const { texts, problems } = await read(
      'a.jsonl',
      '{"text":"one"}\n{"text":\n[1]\nnull\n{"title":"t"}\n\n{"text":"two"}\n{"text":7}',
    );
    expect(texts).toEqual(['one', 'two']);
    expect(problems).toMatchObject([
      { kind: 'broken record', count: 1 },
      { kind: 'no text field', count: 4 },
    ]);
    expect(problems[0].detail).toContain('line 2');
  });
  test('the field that is named', async () => {
    const row = JSON.stringify({ text: 'no', tale: 'yes', ask: 'Why?' });
    expect((await read('a.jsonl', row, 'tale')).texts).toEqual(['yes']);
    expect(pairs((await read('a.jsonl', row, 'ask,tale')).records)).toEqual([['Why?', 'yes']]);
    expect(await read('a.jsonl', row, 'nothing')).toMatchObject({ texts: [], kinds: ['no text field'] });
  });
  test.each([',', ';', '\t'])('csv parted by %j', async (sign) => {
    const { records, kinds } = await read(
      'a.csv',
      `\ufeffid${sign}question${sign}answer\n1${sign}Ask.${sign}"An ""answer""\nof two lines"\n`,
    );
    expect(pairs(records)).toEqual([['Ask.', 'An "answer"\nof two lines']]);
    expect(kinds).toEqual([]);
  });
  test('csv: an open quote ends with a report, not with an error', async () => {
    const { texts, problems } = await read('a.csv', `text\none\n"two ${'x'.repeat(5_000_000)}`);
    expect(texts).toEqual(['one']);
    expect(problems.map(({ kind }) => kind)).toContain('broken record');
  });
  test('parquet: all row groups', async () => {
    const { records, kinds } = await read('a.parquet', parquet);
    expect(records.map(({ instruction }) => instruction)).toEqual([
      'Who kept the lamp?',
      'Who lost the map?',
      'Where is the drum?',
    ]);
    expect(kinds).toEqual([]);
  });
  test('parquet: truncated anywhere, it is reported', async () => {
    for (const length of [4, 50, parquet.length - 9, parquet.length - 1]) {
      expect(await read('a.parquet', parquet.subarray(0, length))).toMatchObject({
        texts: [],
        kinds: ['broken archive'],
      });
    }
  });
});

describe('html', () => {
  test('the article without menus, scripts and links', async () => {
    const page =
      '<!doctype html><title>T</title><nav>Home About</nav><main><h1>The lamp</h1><p>It <a href="https://x.example/">burnt</a> at the edge &amp; stayed.<script>alert(1)</script><p>Two.</main><footer>©</footer>';
    const { texts, kinds } = await read('a.html', page);
    expect(texts[0].split(/\n+/)).toEqual(['The lamp', 'It burnt at the edge & stayed.', 'Two.']);
    expect(kinds).toEqual([]);
  });
  test('a page without text, and one nested ten thousand deep', async () => {
    expect(await read('a.html', '<body><script>1</script></body>')).toMatchObject({
      texts: [],
      kinds: ['empty'],
    });
    expect((await read('a.html', `${'<div>'.repeat(10_000)}deep`)).records.length).toBeLessThanOrEqual(1);
  });
});

describe('archives', () => {
  test('gzip of every format; archives in archives', async () => {
    expect((await read('a.txt.gz', gzipSync('one'))).texts).toEqual(['one']);
    expect((await read('a.jsonl.gz', gzipSync('{"text":"one"}'))).texts).toEqual(['one']);
    expect((await read('a.parquet.gz', gzipSync(parquet))).texts).toHaveLength(3);
    const inner = zip({ 'deep/c.txt': 'three', 'd.parquet': parquet });
    const { records, kinds } = await read(
      'a.zip',
      zip({ 'a.md': 'Ask.<start>one<end>', 'b.txt.gz': gzipSync('two'), 'inner.zip': inner, 'folder/': '' }),
    );
    expect(records.map(({ source }) => source).slice(0, 3)).toEqual([
      'a.zip#a.md',
      'a.zip#b.txt.gz',
      'a.zip#inner.zip#deep/c.txt',
    ]);
    expect(records).toHaveLength(6);
    expect(kinds).toEqual([]);
  });
  test('a truncated gzip: what came before is kept', async () => {
    const lines = Array.from({ length: 5000 }, (_, i) =>
      JSON.stringify({ text: `${i} ${story(i, 2)}` }),
    ).join('\n');
    const whole = gzipSync(lines);
    const { texts, problems } = await read('a.jsonl.gz', whole.subarray(0, whole.length >> 1));
    expect(texts.length).toBeGreaterThan(100);
    expect(problems[0]).toMatchObject({ source: 'a.jsonl.gz', kind: 'broken archive' });
  });
  test('damage in the middle of a gzip', async () => {
    const bytes = gzipSync(story(1, 2000));
    bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 50);
    expect((await read('a.txt.gz', bytes)).kinds).toContain('broken archive');
  });
  test('a zip cut off, with a damaged file, empty, and too deep', async () => {
    const archive = zip({ 'a.txt': 'one', 'b.txt': 'two' });
    expect((await read('a.zip', archive.subarray(0, archive.length - 10))).kinds).toEqual(['broken archive']);
    const damaged = Buffer.from(archive);
    // The method of the first file in the directory, which is no number of a method.
    damaged.writeUInt16LE(77, archive.indexOf('PK\x01\x02', 0, 'latin1') + 10);
    expect(await read('a.zip', damaged)).toMatchObject({ texts: ['two'], kinds: ['broken archive'] });
    expect((await read('a.zip', zip({}))).kinds).toEqual(['empty']);
    let deep = zip({ 'a.txt': 'bottom' });
    for (let i = 0; i < 8; i++) deep = zip({ 'next.zip': deep });
    expect(await read('a.zip', deep)).toMatchObject({ texts: [], kinds: ['too long'] });
  });
  test('wrong endings: read by what they are, and named', async () => {
    expect(await read('a.txt', gzipSync('one'))).toMatchObject({ texts: ['one'], kinds: ['wrong ending'] });
    expect(await read('a.txt.gz', 'one')).toMatchObject({ texts: ['one'], kinds: ['wrong ending'] });
    expect(await read('a.md', zip({ 'a.txt': 'one' }))).toMatchObject({
      texts: ['one'],
      kinds: ['wrong ending'],
    });
    expect(await read('a.zip', 'one')).toMatchObject({ texts: [], kinds: ['broken archive'] });
    expect(await read('a.zip', zip({ 'a.exe': 'one' }))).toMatchObject({
      texts: [],
      kinds: ['unknown format'],
    });
  });
  test('any bytes under any name: never an error', async () => {
    const magic = fc.constantFrom('', '\x1f\x8b\x08', 'PK\x03\x04', 'PAR1', '{"text":');
    const name = fc.constantFrom(
      'a.txt',
      'a.md',
      'a.jsonl',
      'a.html',
      'a.csv',
      'a.parquet',
      'a.zip',
      'a.txt.gz',
    );
    await fc.assert(
      fc.asyncProperty(name, magic, fc.uint8Array({ maxLength: 200 }), async (file, start, bytes) => {
        const content = Buffer.concat([Buffer.from(start, 'latin1'), bytes]);
        const { records, problems } = await read(file, content);
        for (const { text } of records) expect(typeof text).toBe('string');
        for (const { source, detail } of problems)
          expect([source.startsWith('a.'), detail.endsWith('.')]).toEqual([true, true]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('sources', () => {
  function list(...sources: string[]) {
    const problems: Problem[] = [];
    const files = listSources(sources, (problem) => problems.push(problem));
    return { names: files.map(({ name }) => name), kinds: problems.map(({ kind }) => kind) };
  }

  test('folders, patterns, files, each once; names that hold signs of patterns', () => {
    const root = join(folder(), 'tales');
    mkdirSync(join(root, 'deep'), { recursive: true });
    for (const name of ['b.txt', 'a.md', 'deep/c.JSONL', '[x].txt', '.hidden.txt'])
      writeFileSync(join(root, name), 'x');
    const names = ['tales/[x].txt', 'tales/a.md', 'tales/b.txt', 'tales/deep/c.JSONL'];
    expect(list(root)).toEqual({ names, kinds: [] });
    expect(list(root, join(root, 'a.md'), join(root, '*.txt'))).toEqual({ names, kinds: [] });
    expect(list(join(root, '*.md'))).toEqual({ names: ['tales/a.md'], kinds: [] });
    expect(list(join(root, '[x].txt'))).toEqual({ names: ['tales/[x].txt'], kinds: [] });
  });
  test('nothing there, an empty folder and file, another kind, a link in a circle', () => {
    const root = folder();
    mkdirSync(join(root, 'empty'));
    writeFileSync(join(root, 'empty.txt'), '');
    writeFileSync(join(root, 'a.exe'), 'x');
    symlinkSync(root, join(root, 'circle'));
    symlinkSync(join(root, 'nowhere'), join(root, 'broken'));
    expect(list(root).kinds.sort()).toEqual(['empty', 'nothing found', 'unknown format', 'unreadable']);
    expect(list(join(root, 'missing.txt')).kinds).toEqual(['unreadable']);
    expect(list(join(root, '*.parquet')).kinds).toEqual(['nothing found']);
  });
});
