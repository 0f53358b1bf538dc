import { expect, it } from 'vitest';
import { fillInTheMiddle } from '../../src/generation/fill-in-the-middle.ts';
import { type GenerationEvent, type GenerationInput, generate } from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import { fillingModel, marks } from '../fixtures/filling-model.ts';

const filling = await loadModelFolder(fillingModel(), { threads: 1 });
/** The events of an answer, but for how long it took. */
const write = async (input: GenerationInput, more: object = {}) => {
  const events: GenerationEvent[] = [];
  for await (const event of generate(filling, input, { temperature: 0, max_tokens: 8, ...more }))
    events.push('timings' in event ? ({ ...event, timings: {} } as GenerationEvent) : event);
  return events;
};

it('a middle is asked for with the marks of the family, in their order', async () => {
  const { tokenizer } = filling;
  const [before, after] = ['The fox ran to', ' and slept.'];
  const [first] = tokenizer.encode('a', { special: true });
  const tokens = [
    first,
    ...[marks['<fim_prefix>'], ...tokenizer.encode(before)],
    ...[marks['<fim_suffix>'], ...tokenizer.encode(after), marks['<fim_middle>']],
  ];
  const asked = fillInTheMiddle(filling, { text: before }, after);
  expect(asked).toEqual({ tokens, ends: [marks['<fim_pad>']] });
  const ids = tokenizer.encode(before);
  expect(fillInTheMiddle(filling, { tokens: ids }, after)).toEqual(asked);
  expect(await write({ text: before, suffix: after })).toEqual(await write({ tokens }));
});

it('the middle ends at the mark for it, which is not part of it', async () => {
  const events = await write({ text: 'a', suffix: 'b' }, { logit_bias: { [marks['<fim_pad>']]: 100 } });
  expect(events.at(-2)).toMatchObject({ type: 'end', finish_reason: 'stop' });
  expect(events.filter(({ type }) => type === 'delta')).toEqual([]);
  const plain = await write({ text: 'a', suffix: '' });
  expect(plain).toEqual(await write({ text: 'a' }));
});

/** A vocabulary of marks, in which a text is its characters, with a space before the first. */
function spaced(...names: string[]): TextModel {
  const encode = (text: string, { special = false } = {}) => [
    ...(special ? [1] : []),
    ...[...` ${text}`].map((sign) => sign.codePointAt(0)!),
  ];
  const idOf = (mark: string) => (names.includes(mark) ? 100_000 + names.indexOf(mark) : undefined);
  return { id: 'spaced', tokenizer: { encode, idOf } } as unknown as TextModel;
}
const codes = (text: string) => [...text].map((sign) => sign.codePointAt(0)!);

it.each([
  [
    ['▁<PRE>', '▁<SUF>', '▁<MID>', '▁<EOT>'],
    [1, 100_000, ...codes(' a'), 100_001, ...codes('b'), 100_002],
    [100_003],
  ],
  [['[PREFIX]', '[SUFFIX]'], [1, 100_001, ...codes('b'), 100_000, ...codes(' a')], []],
])('the family of %j reads them in its own order', (names, tokens, ends) => {
  expect(fillInTheMiddle(spaced(...names), { text: 'a' }, 'b')).toEqual({ tokens, ends });
});

it('a model without the marks refuses by name', () => {
  const half = spaced('▁<PRE>', '▁<SUF>', '[PREFIX]');
  expect(() => fillInTheMiddle(half, { text: 'a' }, 'b')).toThrow(
    expect.objectContaining({ param: 'suffix', code: 'unsupported_parameter' }),
  );
});
