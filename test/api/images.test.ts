import fc from 'fast-check';
import { expect, test } from 'vitest';
import { drawRequest } from '../../src/api/draw.ts';
import { imageAddress, parseEditFields, parseImageOptions, parseImageRequest } from '../../src/api/images.ts';

test('a prompt alone is one png of 256 pixels', () => {
  expect(parseImageRequest({ prompt: 'a red apple' })).toEqual({
    prompt: 'a red apple',
    parameters: { output_format: 'png', n: 1, width: 256, height: 256 },
    stream: false,
    includeProgress: false,
  });
});

test('null means not given, steps has two names, and auto is the own size of the model', () => {
  const request = parseImageRequest({
    prompt: 'a',
    n: null,
    steps: 7,
    size: 'auto',
    quality: 'auto',
    style: 'auto',
    background: 'auto',
    moderation: 'auto',
    user: 'someone',
    output_format: 'webp',
    output_compression: 60,
    stream: true,
    partial_images: 2,
    stream_options: { include_progress: true },
  });
  expect(request).toEqual({
    prompt: 'a',
    parameters: {
      num_inference_steps: 7,
      output_format: 'webp',
      output_compression: 60,
      partial_images: 2,
      n: 1,
    },
    stream: true,
    includeProgress: true,
  });
});

const wrong: [body: object, param: string, sentence: RegExp][] = [
  [{ prompt: undefined }, 'prompt', /prompt/],
  [{ prompt: '  ' }, 'prompt', /description/],
  [{ prompt: 'x'.repeat(4001) }, 'prompt', /4000/],
  [{ prompt: '\ud800' }, 'prompt', /surrogate/],
  [{ n: 0 }, 'n', /1 to 10/],
  [{ n: 1000 }, 'n', /1 to 10/],
  [{ n: 1.5 }, 'n', /whole/],
  [{ size: '1x1' }, 'size', /64 to 2048/],
  [{ size: '100000x100000' }, 'size', /64 to 2048/],
  [{ size: '256' }, 'size', /"256x256"/],
  [{ size: 256 }, 'size', /"256x256"/],
  [{ steps: 0 }, 'steps', /1 to 200/],
  [{ num_inference_steps: 10_000 }, 'num_inference_steps', /1 to 200/],
  [{ steps: 3, num_inference_steps: 3 }, 'steps', /one of them/],
  [{ seed: -1 }, 'seed', /0 to 4294967295/],
  [{ guidance_scale: 31 }, 'guidance_scale', /0 to 30/],
  [{ scheduler: 'magic' }, 'scheduler', /euler/],
  [{ strength: 0.5 }, 'strength', /edits/],
  [{ output_format: 'gif' }, 'output_format', /png/],
  [{ output_compression: 50 }, 'output_compression', /png loses nothing/],
  [{ partial_images: 4, stream: true }, 'partial_images', /0 to 3/],
  [{ partial_images: 1 }, 'partial_images', /stream/],
  [{ response_format: 'url', stream: true }, 'response_format', /stream/],
  [{ response_format: 'file' }, 'response_format', /b64_json/],
  [{ quality: 'hd' }, 'quality', /auto/],
  [{ style: 'vivid' }, 'style', /auto/],
  [{ background: 'transparent' }, 'background', /auto/],
  [{ moderation: 'low' }, 'moderation', /auto/],
  [{ input_fidelity: 'high' }, 'input_fidelity', /does not serve/],
  [{ colour: 'red' }, 'colour', /not a parameter that wick knows/],
];
test.each(wrong)('%j is refused by name', (body, param, sentence) => {
  let thrown: unknown;
  try {
    parseImageRequest({ prompt: 'a', ...body });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ status: 400, param, message: expect.stringMatching(sentence) });
});

test('the fields of a form are numbers and booleans where they have to be', () => {
  const fields = { prompt: '7', n: '2', strength: '0.5', stream: 'true', partial_images: '1' };
  expect(parseEditFields({ ...fields, 'stream_options[include_progress]': 'true' })).toEqual({
    prompt: '7',
    parameters: { n: 2, strength: 0.5, partial_images: 1, output_format: 'png' },
    stream: true,
    includeProgress: true,
  });
  expect(() => parseEditFields({ prompt: 'a', n: 'two' })).toThrow('`n` is not right: expected a number');
  expect(() => parseEditFields({ prompt: 'a', stream: 'yes' })).toThrow('`stream`');
});

test('a query has short names', () => {
  const query = new URLSearchParams(
    'seed=1&size=128x64&steps=5&guidance=3.5&negative=rain&model=m&compression=80',
  );
  expect(parseImageOptions('an apple', { ending: 'webp', accepted: 'png' }, query)).toEqual({
    model: 'm',
    prompt: 'an apple',
    parameters: {
      seed: 1,
      num_inference_steps: 5,
      guidance_scale: 3.5,
      negative_prompt: 'rain',
      output_compression: 80,
      width: 128,
      height: 64,
      output_format: 'webp',
      n: 1,
    },
    stream: false,
    includeProgress: false,
  });
  const png = { accepted: 'png' as const };
  const refused = (text: string, wanted = png) =>
    expect(() => parseImageOptions('a', wanted, new URLSearchParams(text)));
  refused('n=2').toThrow('`n` is not a parameter');
  refused('gidance=2').toThrow('Did you mean `guidance`?');
  refused('format=gif').toThrow('`format`');
  refused('format=webp', { ...png, ending: 'png' } as typeof png).toThrow('`format`');
});

test('an address leads to the same image again', () => {
  const options = fc.record(
    {
      size: fc.constantFrom('auto', '64x128', '2048x64'),
      steps: fc.integer({ min: 1, max: 200 }),
      guidance: fc.constantFrom(0, 1, 7.5, 30),
      negative: fc.constantFrom('rain & snow', '7', 'true', '雨'),
      scheduler: fc.constantFrom('euler', 'ddim'),
      model: fc.constantFrom('Easel', 'a/b'),
      format: fc.constantFrom('webp', 'avif'),
    },
    { requiredKeys: [] },
  );
  const prompt = fc
    .string({ minLength: 1, maxLength: 40, unit: 'grapheme' })
    .filter((text) => text.trim() !== '');
  fc.assert(
    fc.property(prompt, options, fc.nat(), (prompt, values, seed) => {
      const request = parseImageOptions(prompt, { accepted: 'jpeg' }, new URLSearchParams(), values);
      const { pathname, searchParams } = new URL(imageAddress(request, seed), 'http://x');
      const [, name, ending] = /^\/image\/(.*)\.(\w+)$/.exec(pathname)!;
      const wanted = { ending: ending as 'png', accepted: 'png' as const };
      const again = parseImageOptions(decodeURIComponent(name), wanted, searchParams);
      expect(again).toEqual({ ...request, parameters: { ...request.parameters, seed } });
    }),
  );
});

test('what is taken is what the service takes', () => {
  const body = fc.record(
    {
      n: fc.integer({ min: 1, max: 10 }),
      seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      steps: fc.integer({ min: 1, max: 200 }),
      guidance_scale: fc.double({ min: 0, max: 30, noNaN: true }),
      size: fc
        .tuple(fc.integer({ min: 64, max: 2048 }), fc.integer({ min: 64, max: 2048 }))
        .map((sides) => sides.join('x')),
      output_format: fc.constantFrom('png', 'webp', 'jpeg', 'avif'),
      negative_prompt: fc.string({ unit: 'grapheme', maxLength: 100 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(body, (given) => {
      const { prompt, parameters } = parseImageRequest({ prompt: 'a', ...given });
      expect(drawRequest.safeParse({ model: 'm', prompt, parameters }).success).toBe(true);
    }),
  );
});
