import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { badSequences, banSequences } from '../../src/generation/bans.ts';
import {
  allCandidates,
  type Candidates,
  excludeTopChoices,
  keepTypical,
  keepUnsurprising,
} from '../../src/generation/candidates.ts';
import { completeParameters, defaultParameters } from '../../src/generation/parameters.ts';
import { applyDry, repetitions } from '../../src/generation/repetition.ts';
import { createSampler, type Vocabulary } from '../../src/generation/sampler.ts';

const logits = fc
  .array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 60 })
  .map((values) => Float32Array.from(values));

function probabilities(values: Float32Array): number[] {
  const largest = Math.max(...values);
  const weights = Array.from(values, (value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}
const kept = ({ ids, count }: Candidates) => new Set(ids.subarray(0, count));
const ids = (values: ArrayLike<number>) => Array.from({ length: values.length }, (_, i) => i);

/** Whether two probabilities, or sums of them, may stand in either order for their rounding. */
const near = (a: number, b: number) => Math.abs(a - b) < 1e-5;

describe('the filters keep what their definitions say', () => {
  it('typical', () => {
    fc.assert(
      fc.property(logits, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (values, p) => {
        const candidates = allCandidates(values);
        keepTypical(candidates, p);
        const shares = probabilities(values);
        const entropy = -shares.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);
        const oddity = (id: number) => Math.abs(-Math.log(shares[id]) - entropy);
        const among = kept(candidates);
        const sum = [...among].reduce((total, id) => total + shares[id], 0);
        expect(sum).toBeGreaterThan(p - 1e-5);
        const worst = Math.max(...[...among].map(oddity));
        // Nothing more typical is left out, and without the least typical it would not be enough.
        for (const id of ids(values)) if (!among.has(id)) expect(oddity(id)).toBeGreaterThan(worst - 1e-4);
        const without = [...among].filter((id) => oddity(id) < worst - 1e-4);
        const rest = without.reduce((total, id) => total + shares[id], 0);
        expect(rest < p + 1e-5 || near(rest, p)).toBe(true);
      }),
    );
  });

  it('XTC', () => {
    fc.assert(
      fc.property(logits, fc.double({ min: 0.001, max: 0.6, noNaN: true }), (values, threshold) => {
        const shares = probabilities(values);
        if (shares.some((share) => near(share, threshold))) return;
        const candidates = allCandidates(values);
        excludeTopChoices(candidates, threshold);
        const top = ids(values).filter((id) => shares[id] >= threshold);
        const among = kept(candidates);
        for (const id of ids(values)) if (!top.includes(id)) expect(among.has(id)).toBe(true);
        const left = top.filter((id) => among.has(id));
        expect(left).toHaveLength(Math.min(1, top.length));
        if (left.length > 0) expect(shares[left[0]]).toBeCloseTo(Math.min(...top.map((id) => shares[id])), 6);
      }),
    );
  });

  it('by surprise', () => {
    fc.assert(
      fc.property(logits, fc.double({ min: 0, max: 12, noNaN: true }), (values, bits) => {
        const shares = probabilities(values);
        if (shares.some((share) => near(-Math.log2(share), bits))) return;
        const candidates = allCandidates(values);
        keepUnsurprising(candidates, bits);
        const wanted = ids(values).filter((id) => -Math.log2(shares[id]) <= bits);
        if (wanted.length > 0) expect([...kept(candidates)].sort((a, b) => a - b)).toEqual(wanted);
        else expect(values[[...kept(candidates)][0]] === Math.max(...values)).toBe(true);
      }),
    );
  });
});

describe('DRY', () => {
  const never = () => false;

  it('finds for each token the longest repetition that it would go on with', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 }), (tokens) => {
        const found = repetitions(tokens, never);
        for (const next of [0, 1, 2, 3]) {
          let longest = 0;
          for (let length = 1; length < tokens.length; length++) {
            const tail = tokens.slice(-length).join();
            for (let end = length; end < tokens.length; end++) {
              if (tokens.slice(end - length, end).join() === tail && tokens[end] === next) longest = length;
            }
          }
          expect(found.get(next) ?? 0).toBe(Math.min(50, longest));
        }
      }),
    );
  });

  it('holds back more the longer it is, from the allowed length on, and not across breakers', () => {
    const penalty = (tokens: number[], changes: object = {}) => {
      const values = new Float32Array(10);
      const options = { multiplier: 0.5, base: 2, allowedLength: 2, lastN: -1, breaks: never, ...changes };
      applyDry(values, tokens, options);
      return 0 - values[9];
    };
    expect(penalty([1, 9, 2, 1])).toBe(0);
    expect(penalty([1, 2, 9, 5, 1, 2])).toBe(0.5);
    expect(penalty([1, 2, 3, 9, 5, 1, 2, 3])).toBe(1);
    expect(penalty([1, 2, 3, 4, 9, 5, 1, 2, 3, 4])).toBe(2);
    expect(penalty([1, 2, 3, 4, 9, 5, 1, 2, 3, 4], { lastN: 5 })).toBe(0);
    expect(penalty([1, 2, 3, 4, 9, 5, 1, 2, 3, 4], { lastN: 0 })).toBe(0);
    expect(penalty([1, 2, 3, 4, 9, 5, 1, 2, 3, 4], { breaks: (token: number) => token === 2 })).toBe(0.5);
  });
});

describe('the sampler', () => {
  /** A vocabulary of letters: a is 0, b is 1, the space is 26. */
  const letters: Vocabulary = {
    endTokens: new Set([27]),
    encode: (text) => [...text].map((sign) => (sign === ' ' ? 26 : sign.charCodeAt(0) - 97)),
    decode: (tokens) => tokens.map((id) => (id === 26 ? ' ' : String.fromCharCode(97 + id))).join(''),
  };
  const sampler = (changes: object, prompt: number[] = []) =>
    createSampler({ ...defaultParameters, seed: 1, ...changes }, prompt, letters);
  const flat = () => new Float32Array(28);
  const many = (changes: object, count = 300, at: () => Float32Array = flat) => {
    const { next } = sampler(changes);
    return Array.from({ length: count }, () => next(at()));
  };

  it('takes only what is allowed, and never what is banned', () => {
    expect(new Set(many({ allowed_token_ids: [3, 5] }))).toEqual(new Set([3, 5]));
    expect(many({ ignore_eos: true })).not.toContain(27);
    expect(many({})).toContain(27);
    const patient = many({ min_tokens: 200, logit_bias: { 27: 100 } });
    expect(patient.indexOf(27)).toBe(200);
    const stopping = many({ min_tokens: 200, logit_bias: { 4: 100 }, stop_token_ids: [4] });
    expect(stopping.indexOf(4)).toBe(200);
  });

  it('writes no bad words, whatever else', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-c]{1,3}$/), { minLength: 1, maxLength: 4 }),
        (bad_words) => {
          if (new Set(bad_words.filter((word) => word.length === 1)).size === 3) return;
          const text = letters.decode(many({ bad_words, allowed_token_ids: [0, 1, 2, 26] }, 200));
          for (const word of bad_words) expect(text).not.toContain(word);
        },
      ),
      { numRuns: 30 },
    );
    expect(badSequences(['ab', 'ab'], letters.encode)).toEqual([
      [0, 1],
      [26, 0, 1],
    ]);
    const values = new Float32Array(3);
    banSequences(values, [0], [[0, 1], [2], [1, 0, 2]]);
    expect([...values]).toEqual([0, -Infinity, -Infinity]);
  });

  it('takes from as many tokens as the wanted surprise allows with mirostat', () => {
    const steep = () => Float32Array.from({ length: 400 }, (_, i) => -i / 40);
    for (const mirostat_tau of [2, 3, 4, 5]) {
      const late = many({ mirostat: 2, mirostat_tau }, 1500, steep).slice(500);
      // Drawn nearly evenly from the k likeliest, a token has about log2(k) bits of surprise among them.
      const bits = Math.log2(1 + late.reduce((sum, id) => sum + 2 * id, 0) / late.length);
      expect(Math.abs(bits - mirostat_tau)).toBeLessThan(0.6);
    }
  });

  it('moves the temperature with the entropy', () => {
    const share = (changes: object, gap: number) => {
      const tokens = many(changes, 2000, () => Float32Array.of(gap, 0));
      return tokens.filter((token) => token === 0).length / tokens.length;
    };
    // A sure step becomes surer, an even one more even.
    const range = { dynatemp_range: 0.9 };
    expect(share(range, 3)).toBeGreaterThan(share({}, 3) + 0.01);
    expect(share(range, 0.5)).toBeLessThan(share({}, 0.5) + 0.02);
    expect(share({ ...range, dynatemp_exponent: 5 }, 0.9)).toBeGreaterThan(share(range, 0.9));
  });

  it('leaves the likeliest out as often as XTC is asked to', () => {
    const at = () => Float32Array.of(5, 4.9, 4.8);
    const least = many({ xtc_probability: 1, xtc_threshold: 0.1 }, 100, at);
    expect(new Set(least)).toEqual(new Set([2]));
    const half = many({ xtc_probability: 0.5, xtc_threshold: 0.1 }, 1000, at);
    const share = half.filter((token) => token === 2).length / 1000;
    expect(share).toBeGreaterThan(0.55);
    expect(share).toBeLessThan(0.75);
  });
});

it.each([
  [{ typical_p: 0 }, 'typical_p'],
  [{ xtc_probability: 1.1 }, 'xtc_probability'],
  [{ mirostat: 1 }, 'mirostat'],
  [{ mirostat_tau: Number.NaN }, 'mirostat_tau'],
  [{ dynatemp_exponent: 0 }, 'dynatemp_exponent'],
  [{ dry_base: 0.5 }, 'dry_base'],
  [{ dry_penalty_last_n: -2 }, 'dry_penalty_last_n'],
  [{ dry_sequence_breakers: [''] }, 'dry_sequence_breakers'],
  [{ min_tokens: 0.5 }, 'min_tokens'],
  [{ ignore_eos: 'yes' }, 'ignore_eos'],
  [{ allowed_token_ids: [] }, 'allowed_token_ids'],
  [{ allowed_token_ids: [28] }, 'allowed_token_ids'],
  [{ bad_words: 'x' }, 'bad_words'],
  [{ bad_words: Array(300).fill('x') }, 'bad_words'],
  [{ heat: 1 }, 'heat'],
  [{ __proto__x: 1 }, '__proto__x'],
])('%j is refused by name', (given, param) => {
  expect(() => completeParameters(given as object, {}, 28)).toThrow(expect.objectContaining({ param }));
});
