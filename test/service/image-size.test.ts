import { describe, expect, it } from 'vitest';
import { sizeToDraw, sizeToSend } from '../../src/service/image-size.ts';

const model = { width: 512, height: 512, multiple: 64, fixed: false };

describe('the size to draw', () => {
  it.each([
    [
      { width: 1024, height: 1024 },
      { width: 512, height: 512 },
    ],
    [
      { width: 1536, height: 1024 },
      { width: 640, height: 448 },
    ],
    [
      { width: 64, height: 2048 },
      { width: 64, height: 2048 },
    ],
    [
      { width: 1, height: 100_000 },
      { width: 64, height: 2048 },
    ],
  ])('of %o', (wanted, drawn) => {
    expect(sizeToDraw(model, wanted)).toEqual(drawn);
    expect(sizeToDraw({ ...model, fixed: true }, wanted)).toEqual({ width: 512, height: 512 });
  });
});

describe('the size to send', () => {
  it('is what is wanted, and what fits where a side is open', () => {
    const drawn = { width: 640, height: 320 };
    expect(sizeToSend(drawn, {})).toEqual(drawn);
    expect(sizeToSend(drawn, { width: 100, height: 100 })).toEqual({ width: 100, height: 100 });
    expect(sizeToSend(drawn, { width: 1280 })).toEqual({ width: 1280, height: 640 });
    expect(sizeToSend(drawn, { height: 2048 })).toEqual({ width: 2048, height: 2048 });
  });
});
