import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDeduplicator, DUPLICATE, RELATED, signature, similarity } from '../../src/data/deduplicate.ts';
import { createRandom } from '../../src/data/random.ts';
import { holdOut } from '../../src/data/split.ts';
import { folder, stories, story } from './helpers.ts';

/** Replaces about every n-th word. */
function perturb(text: string, share: number, seed: number): string {
  const random = createRandom(seed);
  return text.replace(/[\p{L}]+/gu, (word) => (random() < share ? `w${Math.floor(random() * 1e6)}` : word));
}

/** The overlap of two texts' runs of five words, counted. */
function overlap(a: string, b: string): number {
  const runs = (text: string) => {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    return new Set(words.slice(4).map((_, i) => words.slice(i, i + 5).join(' ')));
  };
  const [x, y] = [runs(a), runs(b)];
  const both = [...x].filter((run) => y.has(run)).length;
  return both / (x.size + y.size - both);
}

function compare(texts: string[]) {
  const place = folder();
  const deduplicator = createDeduplicator(place);
  const verdicts = texts.map((text) => deduplicator.add(text));
  const result = deduplicator.compare();
  deduplicator.close();
  expect(readdirSync(place)).toEqual([]);
  return { verdicts, ...result };
}

describe('duplicates', () => {
  test('the estimate is near the true overlap', () => {
    for (const share of [0.005, 0.02, 0.05, 0.1]) {
      for (let seed = 1; seed <= 20; seed++) {
        const a = story(seed, 40);
        const b = perturb(a, share, seed);
        // Five standard deviations of 128 draws.
        const truth = overlap(a, b);
        expect(Math.abs(similarity(signature(a), signature(b)) - truth)).toBeLessThan(
          5 * Math.sqrt((truth * (1 - truth) + 0.01) / 128),
        );
      }
    }
  });

  test('case, spacing and signs make no difference; other words do', () => {
    const text = story(1);
    const { verdicts } = compare([
      text,
      `  ${text.toUpperCase().replaceAll(' ', '\n').replaceAll(',', ' –')}`,
      story(2),
      '🙂',
      '🙃',
    ]);
    expect(verdicts).toEqual(['new', 'exact duplicate', 'new', 'new', 'new']);
  });

  test('recall: of 200 copies with few words changed all are found, of 400 stories none is taken for another', () => {
    const originals = stories(400);
    const copies = originals.slice(0, 200).map((text, i) => `${perturb(text, 0.008, i + 1)} End.`);
    const close = copies.map((copy, i) => overlap(copy, originals[i]) >= DUPLICATE + 0.1);
    expect(close.filter(Boolean).length).toBeGreaterThan(100);
    const { original } = compare([...originals, ...copies]);
    for (let i = 0; i < 400; i++) expect(original[i]).toBe(i);
    for (const [i, near] of close.entries()) if (near) expect(original[400 + i]).toBe(i);
  });

  test('many copies of one text, over more than one block of the file', () => {
    const texts = Array.from({ length: 5000 }, (_, i) =>
      i % 2 === 0 ? `${story(1, 30)} ${i}` : story(i, 3),
    );
    const { original } = compare(texts);
    const left = texts.filter((_, i) => original[i] === i).length;
    expect(original[4998]).toBe(0);
    expect(left).toBeGreaterThan(2450);
    expect(left).toBeLessThan(2510);
  });

  test('any texts: the original comes first, is one itself, and its copies share its group', () => {
    const text = fc.oneof(
      fc.string(),
      fc.nat(5).map((seed) => story(seed)),
      fc.nat(5).map((seed) => `${story(seed)} End.`),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
        const { verdicts, original, group } = compare(texts);
        expect(original.length).toBe(verdicts.filter((verdict) => verdict === 'new').length);
        for (const [i, of] of original.entries()) {
          expect(of).toBeLessThanOrEqual(i);
          expect(original[of]).toBe(of);
          expect(group[i]).toBe(group[of]);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('what is held out', () => {
  test('shares no near-duplicate with training', () => {
    // Families of one story and its ever more distant relatives, in a random order.
    const random = createRandom(3);
    const texts = stories(120).flatMap((text, i) => [
      text,
      ...[0.01, 0.03, 0.05, 0.08].map((share, k) => `${perturb(text, share, 10 * i + k + 1)} End ${k}.`),
    ]);
    texts.sort(() => random() - 0.5);
    const { verdicts, original, group } = compare(texts);
    expect(verdicts.every((verdict) => verdict === 'new')).toBe(true);
    const kept = [...original.keys()].filter((i) => original[i] === i);
    const held = holdOut(
      kept.map((i) => group[i]),
      0.2,
      1,
    );
    const validation = kept.filter((i) => held.has(group[i]));
    const train = kept.filter((i) => !held.has(group[i]));
    expect(validation.length).toBeGreaterThan(kept.length * 0.15);
    let related = 0;
    for (const a of validation) {
      for (const b of train) {
        const shared = overlap(texts[a], texts[b]);
        expect(shared).toBeLessThan(DUPLICATE);
        if (shared >= RELATED) related++;
      }
      for (const b of validation) if (a !== b && overlap(texts[a], texts[b]) > RELATED) related--;
    }
    // At the lower limit the guarantee is of probability: relatives are found nearly always.
    expect(related).toBeLessThanOrEqual(0);
  });

  test('takes whole groups, about the share wanted, the same for the same seed, and leaves training something', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(30), { maxLength: 200 }),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        fc.integer(),
        (groups, share, seed) => {
          const held = holdOut(groups, share, seed);
          expect(holdOut(groups, share, seed)).toEqual(held);
          const kinds = new Set(groups).size;
          const count = groups.filter((group) => held.has(group)).length;
          if (share === 0 || kinds < 2) expect(count).toBe(0);
          else {
            expect(held.size).toBeLessThan(kinds);
            expect(count).toBeGreaterThan(0);
            if (held.size > 1)
              expect(count).toBeLessThanOrEqual(Math.max(1, Math.round(share * groups.length)));
          }
        },
      ),
    );
  });
});
