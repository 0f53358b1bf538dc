import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { featureIds, featuresOf, windowsOf, wordsOf } from '../../src/filtering/text-features.ts';

const config = { num_buckets: 64, features_per_word: 5, max_words: 8 };

describe('text features', () => {
  it.each([
    [
      'kitten',
      'KITTEN',
      'Kitten',
      'k1tt3n',
      'k!tten',
      'kit.ten',
      'k.i.t.t.e.n',
      'k i t t e n',
      'k-i-t-t-e-n',
    ],
    ['kitten', 'ｋｉｔｔｅｎ', 'ki\u200btten', 'ki\u00adtten', 'kítten', 'kittttten', '𝐤𝐢𝐭𝐭𝐞𝐧', 'ⓚⓘⓣⓣⓔⓝ'],
    ['is this it', 'is th1s it', 'i5 thi$ it', '@someone is this it', 'is this it https://example.com/a?b=c'],
    ['two words', ' two\n\twords ', 'two words'.normalize('NFD')],
  ])('reads %s however it is spelt', (plain, ...spellings) => {
    for (const spelling of spellings) expect(wordsOf(spelling), spelling).toEqual(wordsOf(plain));
  });

  it('keeps numbers, signs and other scripts apart', () => {
    expect(wordsOf('in 2024, 10:30!')).toEqual(['in', '2024', ',', '10', ':', '30', '!']);
    expect(wordsOf("don't e-mail a@b.c")).toEqual(['dont', 'email', 'aabc']);
    expect(wordsOf('हिन्दी 🦊 میخواهم')).toHaveLength(3);
    expect(wordsOf(' \n')).toEqual([]);
  });

  it('gives a word itself first, then its runs of letters, all within the table', () => {
    const [whole, ...runs] = featuresOf('cat', { num_buckets: 1 << 16, features_per_word: 16 });
    // <ca, cat, at>, then <cat, cat>
    expect(runs).toHaveLength(5);
    const others = featuresOf('cats', { num_buckets: 1 << 16, features_per_word: 16 });
    expect(others[0]).not.toBe(whole);
    expect(others.filter((feature) => runs.includes(feature))).toHaveLength(3);
    fc.assert(
      fc.property(fc.string(), (word) => {
        const features = featuresOf(word, config);
        expect(features.length).toBeLessThanOrEqual(config.features_per_word);
        for (const feature of features) {
          expect(feature).toBeGreaterThan(0);
          expect(feature).toBeLessThan(config.num_buckets);
        }
      }),
    );
  });

  it('cuts any text into windows that hold every word, each neighbour of the one before', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('one', 'two', 'three', 'four')), (list) => {
        const windows = [...windowsOf(list.join(' '), config)];
        const stride = 6;
        const words = list.map((word) => featuresOf(word, config));
        expect(windows.every((window) => window.length <= config.max_words)).toBe(true);
        const joined = windows.flatMap((window, i) =>
          i === 0 ? window : window.slice(config.max_words - stride),
        );
        expect(joined).toEqual(words);
      }),
    );
  });

  it('fills the tensor row by row, and says when there is no word', () => {
    const ids = featureIds([...windowsOf('ab', config)], config);
    expect(ids).toHaveLength(8 * 5);
    expect([...ids.subarray(0, 4)].map(Number)).toEqual([...featuresOf('ab', config).slice(0, 4)]);
    expect(ids.subarray(4).every((id) => id === 0n)).toBe(true);
    expect(featureIds([...windowsOf('', config)], config)[0]).toBeGreaterThan(0n);
  });

  it('reads a megabyte of signs in linear time', () => {
    for (const unit of ['a.', 'a', '.', '@', 'a b ', '1!', '\u200b', 'http://'])
      expect([...windowsOf(unit.repeat(1_000_000 / unit.length), config)].length).toBeGreaterThan(0);
  }, 20_000);
});
