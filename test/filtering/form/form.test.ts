import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFormStream } from '../../../src/filtering/form/form-stream.ts';
import { createFormatStream } from '../../../src/filtering/form/format.ts';
import { readingLevel } from '../../../src/filtering/form/reading-level.ts';
import { createSentenceStream } from '../../../src/filtering/form/sentence-end.ts';

const answer = `# Tea & *biscuits*

Boil **water** <script>alert(1)</script>, see [the page](https://tea.example/a?b=1&c=2)
or <javascript:alert(1)> and [this](javascript:alert(1)).

1. a cup
2. a spoon

   of sugar

- milk
  - oat
- none

\`\`\`ts
if (a < b && c) pour();

done();
\`\`\`
| kind | minutes |
| ---- | ------: |
| black | 4 |

![a cup](cup.png) The end.`;

const made = (format: 'plain' | 'html', pieces: readonly string[]): string => {
  const stream = createFormatStream(format);
  return pieces.map((piece) => stream.push(piece)).join('') + stream.end(false);
};

describe('HTML', () => {
  const html = made('html', [answer]);

  it('is made of Markdown, a block at a time', () => {
    const stream = createFormatStream('html');
    expect(stream.push('One *a')).toBe('');
    expect(stream.push('*.\n\nTw')).toBe('<p>One <em>a</em>.</p>');
    expect(stream.end(false)).toBe('\n<p>Tw</p>');
  });

  it('holds no element, address or attribute but its own', () => {
    expect(html).toContain('&lt;script&gt;');
    const names = new Set([...html.matchAll(/<\/?([a-z0-9]+)/g)].map(([, name]) => name));
    const known =
      'a,blockquote,br,code,em,h1,h2,h3,h4,h5,h6,hr,img,li,ol,p,pre,strong,table,tbody,td,th,thead,tr,ul';
    expect([...names].filter((name) => !known.split(',').includes(name))).toEqual([]);
    expect([...html.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address]) => address)).toEqual([
      'https://tea.example/a?b=1&amp;c=2',
      '',
      '',
      'cup.png',
    ]);
  });

  it('never has a tag or an event of the text, whatever the text', () => {
    const hostile = fc
      .array(
        fc.constantFrom(
          '<',
          '>',
          'img',
          ' onerror=',
          '"',
          "'",
          '](',
          '[',
          '!',
          'javascript:',
          '\n',
          '`',
          '|',
          '&#106;',
          'x',
          '\t',
          '    ',
          'data:text/html,',
          '\\',
          '-',
          '#',
        ),
        { maxLength: 40 },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(hostile, (text) => {
        const out = made('html', [text]);
        for (const [, attributes] of out.matchAll(/<[a-z][a-z0-9]*((?:\s+[a-z]+="[^"]*")*\s*\/?)>/g)) {
          expect(attributes).not.toMatch(/\son[a-z]+=/);
          expect(attributes).not.toMatch(/(?:href|src)="\s*(?:javascript|data|vbscript):/i);
        }
        // What is left without its tags has no sign that could begin one.
        expect(out.replace(/<\/?[a-z][a-z0-9]*(?:\s+[a-z]+="[^"<>]*")*\s*\/?>/g, '')).not.toMatch(/[<>]/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('plain text', () => {
  it('has lists, tables, links and code without their marks', () => {
    expect(made('plain', [answer])).toBe(`Tea & biscuits

Boil water <script>alert(1)</script>, see the page (https://tea.example/a?b=1&c=2)
or javascript:alert(1) and this.

1. a cup
2. a spoon
of sugar
- milk
  - oat
- none

if (a < b && c) pour();

done();

kind | minutes
black | 4

a cup The end.`);
  });
});

it.each(['plain', 'html'] as const)('%s is the same however the text is cut', (format) => {
  const whole = made(format, [answer]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 }), (lengths) => {
      const pieces: string[] = [];
      let at = 0;
      for (const length of lengths) {
        pieces.push(answer.slice(at, at + length));
        at += length;
      }
      pieces.push(answer.slice(at));
      expect(made(format, pieces)).toBe(whole);
    }),
  );
  expect(made(format, [...answer])).toBe(whole);
});

describe('an end at a sentence', () => {
  const ended = (text: string, cut: boolean, pieces = [text]): string => {
    const stream = createSentenceStream('en');
    return pieces.map((piece) => stream.push(piece)).join('') + stream.end(cut);
  };

  it.each([
    ['He ran. She', true, 'He ran. '],
    ['He ran. She', false, 'He ran. She'],
    ['He ran.', true, 'He ran.'],
    ['He ran. “She did!”', true, 'He ran. “She did!”'],
    ['He was about', true, 'He was about'],
    ['It cost 3.50 in all. That', true, 'It cost 3.50 in all. '],
    ['One line\nand another', true, 'One line\n'],
    ['', true, ''],
  ])('%j, cut: %j', (text, cut, expected) => {
    expect(ended(text, cut)).toBe(expected);
  });

  it('is the same however the text is cut', () => {
    const piece = fc.constantFrom(
      'He',
      ' ran',
      '.',
      ' ',
      '"',
      '(',
      '3',
      ' e.g.',
      '! ',
      '\n',
      'she ',
      'Mr. ',
      '…',
      '你好。',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.boolean(), (pieces, cut) => {
        const text = pieces.join('');
        expect(ended(text, cut, pieces)).toBe(ended(text, cut));
        expect(ended(text, cut, [...text])).toBe(ended(text, cut));
        expect(text.startsWith(ended(text, cut))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('readingLevel', () => {
  it('follows the published formula', () => {
    // 4.71 * 18 / 6 + 0.5 * 6 / 2 - 21.43 is below the first school year.
    expect(readingLevel('The cat sat. It was fat.')).toBe(1);
    // One sentence, 11 words, 75 letters: 4.71 * 75 / 11 + 0.5 * 11 - 21.43.
    const hard =
      'Constitutional provisions notwithstanding, jurisdictional ambiguity persists among us on it all.';
    const words = hard.match(/[a-z]+/gi)!;
    expect(readingLevel(hard)).toBeCloseTo(
      4.71 * (words.join('').length / words.length) + words.length / 2 - 21.43,
      1,
    );
    expect(readingLevel(' … ')).toBe(0);
  });
});

it('a form with nothing to do to the text is none', () => {
  expect(createFormStream({ style: 'formal', format: 'markdown' })).toBeUndefined();
  const both = createFormStream({ format: 'html', end_at_sentence: true })!;
  expect(both.push('He *ran*. She') + both.end(true)).toBe('<p>He <em>ran</em>.</p>');
});
