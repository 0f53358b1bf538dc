import fc from 'fast-check';
import { expect, it } from 'vitest';
import { learningRateShare } from '../../src/training/schedule.ts';

const schedule = fc.record({
  warmup_steps: fc.integer({ min: 0, max: 50 }),
  max_steps: fc.integer({ min: 51, max: 500 }),
  final_learning_rate_ratio: fc.double({ min: 0, max: 1, noNaN: true }),
  schedule: fc.constantFrom('cosine' as const, 'linear' as const),
});

it('rises to the peak at the end of warm-up and falls to the floor at the last step', () => {
  fc.assert(
    fc.property(schedule, (config) => {
      const shares = Array.from({ length: config.max_steps }, (_, i) => learningRateShare(i + 1, config));
      const peak = Math.max(1, config.warmup_steps) - 1;
      for (let i = 1; i <= peak; i++) expect(shares[i]).toBeGreaterThan(shares[i - 1]);
      for (let i = peak + 1; i < shares.length; i++)
        expect(shares[i]).toBeLessThanOrEqual(shares[i - 1] + 1e-12);
      if (config.warmup_steps > 0) expect(shares[config.warmup_steps - 1]).toBeCloseTo(1);
      expect(shares.at(-1)).toBeCloseTo(config.final_learning_rate_ratio);
    }),
  );
});

it('is half way between peak and floor in the middle', () => {
  const config = {
    warmup_steps: 0,
    max_steps: 100,
    final_learning_rate_ratio: 0.2,
  };
  expect(learningRateShare(50, { ...config, schedule: 'cosine' })).toBeCloseTo(0.6);
  expect(learningRateShare(50, { ...config, schedule: 'linear' })).toBeCloseTo(0.6);
});
