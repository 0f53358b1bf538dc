import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildStableDiffusionFolder } from '../../../scripts/stable-diffusion-folder.ts';
import { schedulerNames } from '../../../src/api/draw.ts';
import type { ImageModel } from '../../../src/generation/image/image-model.ts';
import {
  type DrawOptions,
  type DrawStep,
  drawImage,
  type Pixels,
} from '../../../src/generation/image/pipeline.ts';
import { InvalidInputError } from '../../../src/generation/parameters.ts';
import { loadImageFolder } from '../../../src/service/image-folder.ts';
import { temporaryFolder } from '../../fixtures/tiny.ts';
import { tinyImageModel } from '../../fixtures/tiny-images.ts';

/** One of pixels that predicts a flow, and Stable Diffusion's shape, which takes all other schedulers. */
let model: ImageModel;
let latent: ImageModel;
/** The same model, with what it was asked for: rows of each evaluation. */
let counted: ImageModel;
let evaluations: number[];
beforeAll(async () => {
  model = await loadImageFolder(await tinyImageModel(), { threads: 1 });
  const folder = temporaryFolder();
  buildStableDiffusionFolder(folder, { sampleSize: 4, dialect: 'optimum' });
  latent = await loadImageFolder(folder, { threads: 1 });
  counted = {
    ...model,
    denoise(...args) {
      evaluations.push(args[1][0]);
      return model.denoise(...args);
    },
  };
});

const usual = { prompt: 'red square', seed: 5, num_inference_steps: 4 };
const draw = (options: Partial<DrawOptions> = {}, signal = new AbortController().signal, of = model) =>
  drawImage(of, { ...usual, ...options }, signal);

async function all(steps: AsyncGenerator<DrawStep>): Promise<DrawStep[]> {
  const list: DrawStep[] = [];
  for await (const step of steps) list.push(step);
  return list;
}

const bytes = async (options: Partial<DrawOptions> = {}, of = model): Promise<Uint8Array> => {
  const last = (await all(draw(options, undefined, of))).at(-1)!;
  if (last.type !== 'image') throw new Error('There was no image.');
  return last.pixels.data;
};

const picture = (shade: number): Pixels => ({
  width: 16,
  height: 16,
  data: Uint8Array.from({ length: 3 * 256 }, (_, i) => (i % 3 === 0 ? shade : 255 - (i % 200))),
});
const distance = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;

describe('a drawing', () => {
  it('is the same for the same seed, whatever else is drawn meanwhile, and another for another', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.constantFrom(...schedulerNames),
        async (seed, scheduler) => {
          const of = scheduler === 'flow_euler' ? model : latent;
          const prompt = 'the red apple';
          const other = (seed + 1) % 2 ** 32;
          const alone = await bytes({ prompt, seed, scheduler }, of);
          const [among, second] = await Promise.all([
            bytes({ prompt, seed, scheduler }, of),
            bytes({ prompt, seed: other, scheduler }, of),
            bytes({ prompt: 'the blue apple', seed, scheduler }, of),
          ]);
          expect(among).toEqual(alone);
          expect(second).not.toEqual(alone);
        },
      ),
      { numRuns: 24 },
    );
  });

  it('tells of each step, and shows itself as often as is asked', async () => {
    for (const previews of [0, 1, 2, 3]) {
      const steps = await all(draw({ num_inference_steps: 8, previews }));
      expect(steps.map((step) => (step.type === 'progress' ? step.step : step.type))).toEqual([
        ...[1, 2, 3, 4, 5, 6, 7, 8],
        'image',
      ]);
      const shown = steps.flatMap((step) => (step.type === 'progress' && step.preview ? [step] : []));
      expect(shown).toHaveLength(previews);
      for (const { preview } of shown) expect(preview).toMatchObject({ width: 16, height: 16 });
      expect(shown.every(({ step }) => step < 8)).toBe(true);
    }
    // To be shown changes nothing.
    expect(await bytes({ previews: 3 })).toEqual(await bytes());
  });

  it('asks for both predictions at once with guidance, and for one without', async () => {
    for (const [guidance_scale, rows] of [
      [3, 2],
      [1, 1],
      [0, 1],
    ]) {
      evaluations = [];
      await all(draw({ guidance_scale }, undefined, counted));
      expect(evaluations).toEqual([rows, rows, rows, rows]);
    }
  });

  it('is led away from the negative prompt, and from no words where there is none', async () => {
    const plain = await bytes({ guidance_scale: 8 });
    expect(await bytes({ guidance_scale: 8, negative_prompt: '' })).toEqual(plain);
    expect(await bytes({ guidance_scale: 8, negative_prompt: 'blue circle' })).not.toEqual(plain);
    // Away from what it is led to, it goes nowhere: as without guidance.
    const still = await bytes({ guidance_scale: 8, negative_prompt: usual.prompt });
    expect(distance(still, await bytes({ guidance_scale: 1 }))).toBeLessThan(1);
  });

  it('ends between two steps when it is cancelled, and the model draws on', async () => {
    evaluations = [];
    const stop = new AbortController();
    const seen: DrawStep[] = [];
    await expect(async () => {
      for await (const step of draw({ num_inference_steps: 50 }, stop.signal, counted)) {
        seen.push(step);
        if (seen.length === 3) stop.abort();
      }
    }).rejects.toThrow(/abort/i);
    expect(seen).toHaveLength(3);
    expect(evaluations).toHaveLength(3);
    const left = draw({ num_inference_steps: 50 }, undefined, counted);
    await left.next();
    await left.return();
    expect(evaluations).toHaveLength(4);
    await expect(all(draw({}, AbortSignal.abort()))).rejects.toThrow(/abort/i);
    expect((await all(draw())).at(-1)).toMatchObject({ type: 'image', steps: 4 });
  });
});

describe('an image to begin from', () => {
  it('is left as far as the strength says', async () => {
    const image = picture(200);
    expect(await bytes({ image, strength: 0 })).toEqual(image.data);
    expect(await bytes({ image, strength: 1 })).toEqual(await bytes());
    const [near, far] = [await bytes({ image, strength: 0.25 }), await bytes({ image, strength: 0.75 })];
    expect(distance(near, image.data)).toBeLessThan(distance(far, image.data));
    evaluations = [];
    await all(draw({ image, strength: 0.5, num_inference_steps: 8 }, undefined, counted));
    expect(evaluations).toHaveLength(4);
  });

  it('stays, byte for byte, where the mask says so, and nowhere else', async () => {
    const image = picture(90);
    const mask = Uint8Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? 0 : 255));
    const drawn = await bytes({ image, mask });
    let [kept, changed] = [0, 0];
    for (let i = 0; i < 256; i++) {
      for (let c = 0; c < 3; c++) {
        if (drawn[3 * i + c] === image.data[3 * i + c]) kept += mask[i] === 0 ? 1 : 0;
        else changed += mask[i] === 0 ? 1 : 0;
      }
    }
    expect([kept, changed]).toEqual([3 * 128, 0]);
    expect(distance(drawn, image.data)).toBeGreaterThan(5);
  });
});

const lone = String.fromCharCode(0xd800);
const wrong: [options: object, param: string][] = [
  ...[0, -1, 1.5, Number.NaN, 10_000].map((steps): [object, string] => [
    { num_inference_steps: steps },
    'steps',
  ]),
  ...[-1, 1.5, Number.NaN, 2 ** 53].map((seed): [object, string] => [{ seed }, 'seed']),
  ...[Number.NaN, -1, 1e9, Number.POSITIVE_INFINITY].map((guidance_scale): [object, string] => [
    { guidance_scale },
    'guidance_scale',
  ]),
  [{ width: 1, height: 1 }, 'size'],
  [{ width: 100_000, height: 100_000 }, 'size'],
  [{ width: 17, height: 16 }, 'size'],
  [{ width: Number.NaN }, 'size'],
  [{ scheduler: 'magic' }, 'scheduler'],
  [{ scheduler: '__proto__' }, 'scheduler'],
  [{ prompt: 'red '.repeat(25_000) }, 'prompt'],
  [{ prompt: `a ${lone}` }, 'prompt'],
  [{ negative_prompt: 'red '.repeat(25_000), guidance_scale: 3 }, 'negative_prompt'],
  [{ strength: 0.5 }, 'strength'],
  [{ image: picture(1), strength: -1 }, 'strength'],
  [{ image: picture(1), strength: 2 }, 'strength'],
  [{ image: { ...picture(1), width: 8 } }, 'image'],
  [{ mask: new Uint8Array(256) }, 'mask'],
  [{ image: picture(1), mask: new Uint8Array(64) }, 'mask'],
];
it.each(wrong)('%.80j is refused by name', async (options, param) => {
  const refused = await all(draw(options)).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(InvalidInputError);
  expect((refused as InvalidInputError).param).toBe(param);
});
