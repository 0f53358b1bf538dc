import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bestThreshold,
  calibrationError,
  plattScaling,
  reliability,
} from '../../src/training/calibration.ts';
import { auprc, auroc, type Judged } from '../../src/training/ranking.ts';

const judged = (pairs: [number, boolean][]): Judged[] =>
  pairs.map(([score, positive]) => ({ score, positive }));

/** Few different scores, so that many are equal. */
const some = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), { minLength: 2, maxLength: 40 })
  .map(judged)
  .filter((list) => list.some(({ positive }) => positive) && list.some(({ positive }) => !positive));

describe('areas under curves', () => {
  it('are those of worked examples', () => {
    // scikit-learn's: roc_auc_score and average_precision_score of [0, 0, 1, 1] at [0.1, 0.4, 0.35, 0.8].
    const example = judged([
      [0.1, false],
      [0.4, false],
      [0.35, true],
      [0.8, true],
    ]);
    expect(auroc(example)).toBe(0.75);
    expect(auprc(example)).toBeCloseTo(0.8333333, 6);
    const equal = judged([
      [1, true],
      [1, false],
      [1, false],
      [1, false],
    ]);
    expect(auroc(equal)).toBe(0.5);
    expect(auprc(equal)).toBe(0.25);
    expect(auroc(judged([[1, true]]))).toBeNaN();
    expect(auprc(judged([[1, false]]))).toBeNaN();
  });

  it('count pairs, ties as a half, whatever the order', () => {
    fc.assert(
      fc.property(some, (list) => {
        const [having, lacking] = [true, false].map((kind) =>
          list.filter(({ positive }) => positive === kind),
        );
        const won = having.flatMap(({ score: a }) =>
          lacking.map(({ score: b }) => (a > b ? 1 : a === b ? 0.5 : 0)),
        );
        const sum = won.reduce<number>((a, b) => a + b, 0);
        expect(auroc(list)).toBeCloseTo(sum / won.length, 10);
        expect(auroc([...list].reverse())).toBeCloseTo(auroc(list), 10);
        expect(auprc([...list].reverse())).toBeCloseTo(auprc(list), 10);
      }),
    );
  });

  it('turn over with the labels, and stand any rising change of the scores', () => {
    fc.assert(
      fc.property(some, (list) => {
        const turned = list.map(({ score, positive }) => ({ score, positive: !positive }));
        expect(auroc(turned)).toBeCloseTo(1 - auroc(list), 10);
        const stretched = list.map(({ score, positive }) => ({ score: Math.exp(score) - 7, positive }));
        expect(auroc(stretched)).toBe(auroc(list));
        expect(auprc(stretched)).toBe(auprc(list));
      }),
    );
  });
});

describe('calibration', () => {
  it('finds the line by which labels were drawn', () => {
    // For each logit z, sigmoid(2z - 1) of the weight has the label.
    const texts = Array.from({ length: 61 }, (_, i) => (i - 30) / 10).flatMap((score) => {
      const p = 1 / (1 + Math.exp(-(2 * score - 1)));
      return [
        { score, positive: true, weight: p },
        { score, positive: false, weight: 1 - p },
      ];
    });
    const { scale, offset } = plattScaling(texts);
    // Platt's softer targets draw the line a little flatter.
    expect(scale).toBeCloseTo(2, 0);
    expect(offset).toBeCloseTo(-1, 0);
    expect(plattScaling([{ score: 3, positive: true, weight: 1 }])).toEqual({ scale: 1, offset: 0 });
  });

  it('stays finite where scores part both kinds without an error', () => {
    const texts = [-3, -2, -1, 1, 2, 3].map((score) => ({ score, positive: score > 0, weight: 1 }));
    const { scale, offset } = plattScaling(texts);
    expect(scale).toBeGreaterThan(0);
    expect(scale).toBeLessThan(5);
    expect(Math.abs(offset)).toBeLessThan(0.1);
  });

  it('sets the threshold that is most precise and finds most, without blocking more than it may', () => {
    const texts = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2].map((score, i) => ({
      score,
      positive: [0, 1, 3, 4, 5].includes(i),
      weight: 1,
    }));
    expect(bestThreshold(texts, 0)).toBeCloseTo(0.75);
    expect(bestThreshold(texts, 0.4)).toBeCloseTo(0.35);
    expect(bestThreshold([], 0.1)).toBe(0.5);
  });

  it('measures how far scores are from shares', () => {
    const texts = [0.05, 0.05, 0.35, 0.35, 1].map((score, i) => ({
      score,
      positive: i % 2 === 1,
      weight: 1,
    }));
    expect(reliability(texts)).toEqual([
      { foretold: 0.05, observed: 0.5, weight: 2, texts: 2 },
      { foretold: 0.35, observed: 0.5, weight: 2, texts: 2 },
      { foretold: 1, observed: 0, weight: 1, texts: 1 },
    ]);
    expect(calibrationError(texts)).toBeCloseTo((2 * 0.45 + 2 * 0.15 + 1) / 5);
    expect(calibrationError([])).toBeNaN();
  });
});
