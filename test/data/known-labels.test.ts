import { describe, expect, it } from 'vitest';
import { knownLabels } from '../../src/data/labels/known-labels.ts';

const names = ['hate', 'hate/threatening', 'sexual', 'offensive'];
const read = (row: unknown) => {
  const { labels, ...rest } = knownLabels(row, names);
  return { ...rest, labels: Object.fromEntries(labels) };
};

describe('rows of labelled texts', () => {
  it.each([
    [
      { text: 'a', labels: { hate: 1, sexual: false } },
      { hate: true, sexual: false },
    ],
    [
      { prompt: 'a', S: 1, H: 0, H2: null },
      { hate: false, sexual: true },
    ],
    [
      { text: 'a', labels: ['sexual'] },
      { hate: false, 'hate/threatening': false, sexual: true, offensive: false },
    ],
    [{ text: 'a', label: 'offensive' }, { offensive: true }],
    [
      { text: 'a', label: 'neither' },
      { hate: false, 'hate/threatening': false, sexual: false, offensive: false },
    ],
    [{ text: 'a', offensive: true, other: 5 }, { offensive: true }],
  ])('%j', (row, labels) => {
    expect(read(row)).toEqual({ text: 'a', labels, flagged: undefined, weight: 1 });
  });

  it('may say only whether a text is to be flagged, and for how many it stands', () => {
    expect(read({ text: 'a', unsafe: 1, weight: 0.5 })).toEqual({
      ...{ text: 'a', labels: {}, flagged: true, weight: 0.5 },
    });
  });

  it.each([
    [[], /no JSON object/],
    [{ labels: {} }, /no "text" or "prompt"/],
    [{ text: 'a', labels: { kind: 1 } }, /the label "kind"; the model knows hate,/],
    [{ text: 'a', label: 'rude' }, /the label "rude"/],
    [{ text: 'a', labels: { hate: 'yes' } }, /"hate" is neither 0 nor 1/],
  ])('refuses %j', (row, message) => {
    expect(() => knownLabels(row, names)).toThrow(message);
  });
});
