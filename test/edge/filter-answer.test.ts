/** The policy on the events of answers, cut anywhere, of several choices at once. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { GenerationEvent } from '../../src/api/events.ts';
import type { EdgeContext } from '../../src/edge/context.ts';
import { filterAnswer } from '../../src/edge/filtering/filter-answer.ts';
import { openFilter, type RequestFilter } from '../../src/edge/filtering/request-filter.ts';
import { restoreAnswer } from '../../src/edge/filtering/restore-answer.ts';

// Their models are ones that workerd alone loads, and this policy asks for no names and judges nothing.
vi.mock('../../src/edge/guard.ts', () => ({
  guard: () => {
    throw new Error('No policy here has a judge.');
  },
}));
vi.mock('../../src/edge/filtering/site-tagger.ts', () => ({
  siteTagger: () => {
    throw new Error('No policy here asks for names.');
  },
}));

const policy = JSON.stringify({
  version: 1,
  name: 'test',
  rules: [
    { entities: ['card'], action: 'mask' },
    { entities: ['email'], action: 'replace' },
    { entities: ['secret'], action: 'refuse' },
  ],
  examples: [{ text: 'no', direction: 'output', gives: 'no' }],
});
const filterOf = (): RequestFilter =>
  openFilter({ env: { WICK_POLICY: policy }, req: { header: () => undefined } } as unknown as EdgeContext);

const card = '4111 1111 1111 1111';
const mail = 'jo.doe@mail.org';
const key = 'AKIAIOSFODNN7EXAMPLE';

/** What a choice writes: its text, and a call behind it. */
interface Written {
  text: string;
  arguments?: string;
}
type Cut = readonly number[];

/** A text in pieces of whole characters. */
const cutAt = (text: string, cuts: Cut): string[] => {
  const whole = (place: number) => (/[\udc00-\udfff]/.test(text[place] ?? '') ? place + 1 : place);
  const places = [...new Set(cuts.map((cut) => whole(cut % (text.length + 1))))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => text.slice(from, places[i])).filter((piece) => piece !== '');
};

/** How likely tokens were, as if each piece were one. */
const logprobsOf = (pieces: readonly string[]) =>
  pieces.map((text, id) => ({
    ...{ id, text, bytes: [...Buffer.from(text)], logprob: -1 },
    top: [{ id, text, bytes: [...Buffer.from(text)], logprob: -1 }],
  }));

/** The events of a choice whose text lags behind its tokens by a few units. */
function* eventsOf(index: number, written: Written, cuts: Cut, lag: number): Generator<GenerationEvent> {
  let [told, sent, tokens] = ['', 0, [] as string[]];
  for (const piece of cutAt(written.text, cuts)) {
    told += piece;
    tokens.push(piece);
    const text = told.slice(sent, Math.max(sent, told.length - lag));
    if (!text) continue;
    sent += text.length;
    yield { type: 'delta', index, text, tokens: tokens.map(() => 1), logprobs: logprobsOf(tokens) };
    tokens = [];
  }
  if (sent < told.length || tokens.length > 0)
    yield { type: 'delta', index, text: told.slice(sent), tokens: [], logprobs: logprobsOf(tokens) };
  const call = { type: 'tool_call' as const, index, call: 0, tokens: [1] };
  if (written.arguments !== undefined) yield { ...call, id: 'call_1', name: 'send', arguments: '' };
  for (const piece of cutAt(written.arguments ?? '', cuts)) yield { ...call, arguments: piece };
  yield { type: 'end', index, finish_reason: 'stop' };
}

/** Choices side by side. */
async function* joined(lists: GenerationEvent[][], order: Cut): AsyncGenerator<GenerationEvent> {
  yield { type: 'start', prompt_tokens: 3 };
  const left = lists.map((list) => [...list]);
  for (let turn = 0; left.some((list) => list.length > 0); turn++) {
    const open = left.filter((list) => list.length > 0);
    yield open[(order[turn % Math.max(1, order.length)] ?? 0) % open.length].shift()!;
  }
  yield { type: 'done', usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 } };
}

async function filtered(choices: readonly Written[], cuts: Cut, { order = cuts, lag = 0 } = {}) {
  const form = {
    ...{ choices: choices.length, json: false, traced: false },
    calls: choices.some((choice) => choice.arguments !== undefined),
  };
  const lists = choices.map((choice, index) => [...eventsOf(index, choice, cuts, lag)]);
  const events: GenerationEvent[] = [];
  for await (const event of filterAnswer(joined(lists, order), filterOf(), form)) events.push(event);
  const of = (index: number) =>
    events.flatMap((event) => ('index' in event && event.index === index ? [event] : []));
  return {
    events,
    choices: choices.map((_, index) => ({
      text: of(index)
        .map((event) => (event.type === 'delta' ? event.text : ''))
        .join(''),
      arguments: of(index)
        .map((event) => (event.type === 'tool_call' ? event.arguments : ''))
        .join(''),
      ends: of(index).flatMap((event) => (event.type === 'end' ? [event.finish_reason] : [])),
    })),
    tokens: choices.map((_, index) =>
      of(index).flatMap((event) =>
        event.type === 'delta' || event.type === 'tool_call' ? (event.logprobs ?? []) : [],
      ),
    ),
  };
}

const words = fc.constantFrom(
  'The card ',
  card,
  ' is of ',
  mail,
  '. ',
  card.replaceAll(' ', ''),
  'Ann, ',
  'é\u{1f600} ',
  key,
);
const texts = fc.array(words, { maxLength: 5 }).map((parts) => parts.join('; '));
const plainTexts = texts.map((text) => text.replaceAll(key, 'no'));
const cut = fc.array(fc.nat(200), { maxLength: 40 });
const answers = fc.array(
  fc.record({
    text: texts,
    arguments: fc.option(
      texts.map((to) => JSON.stringify({ to, n: [to] })),
      { nil: undefined },
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

describe('any choices, cut anywhere, with their events in any order', () => {
  test('give what they give whole', async () => {
    await fc.assert(
      fc.asyncProperty(answers, cut, cut, async (choices, cuts, order) => {
        const whole = await filtered(choices, []);
        const pieces = await filtered(choices, cuts, { order });
        expect(pieces.choices.map(({ ends, ...said }) => said)).toEqual(
          whole.choices.map(({ ends, ...said }) => said),
        );
        expect(pieces.choices).toEqual(whole.choices);
        for (const [index, { text, ends, ...said }] of pieces.choices.entries()) {
          expect(text + said.arguments).not.toMatch(/4111 ?1111|mail\.org|AKIA/);
          expect(ends).toEqual([JSON.stringify(choices[index]).includes(key) ? 'content_filter' : 'stop']);
          if (ends[0] === 'stop' && choices[index].arguments !== undefined) JSON.parse(said.arguments);
        }
        expect(pieces.events.at(-1)?.type).toBe('done');
      }),
      { numRuns: 150 },
    );
  });

  test('tell all tokens, those of what was found as masked, and where each begins', async () => {
    await fc.assert(
      fc.asyncProperty(plainTexts, cut, fc.nat(12), async (text, cuts, lag) => {
        const { tokens, choices } = await filtered([{ text }], cuts, { lag });
        const pieces = cutAt(text, cuts);
        expect(tokens[0]).toHaveLength(pieces.length);
        let at = 0;
        for (const [i, piece] of pieces.entries()) {
          const token = tokens[0][i];
          const found = [card, mail, card.replaceAll(' ', '')].some((value) => {
            for (let from = text.indexOf(value); from >= 0; from = text.indexOf(value, from + 1))
              if (from < at + piece.length && from + value.length > at) return true;
            return false;
          });
          if (found)
            expect(token).toMatchObject({ logprob: -9999, top: [], text: expect.stringMatching(/^\*+$/) });
          if (lag === 0 && !found) expect(token).toMatchObject({ text: piece, logprob: -1 });
          if (
            !found &&
            token.logprob === -1 &&
            token.offset !== undefined &&
            !/\ufffd|[\ud800-\udfff]/.test(text)
          )
            expect(choices[0].text.startsWith(piece, token.offset), `${piece} of ${text}`).toBe(true);
          at += piece.length;
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('a choice that is refused ends, others go on, and the generation ends where none is left', async () => {
  const { events, choices } = await filtered(
    [{ text: `It is ${key} and more` }, { text: 'All is well.' }],
    [3, 9, 14],
    { order: [0] },
  );
  expect(choices).toMatchObject([
    { text: 'It is ', ends: ['content_filter'] },
    { text: 'All is well.', ends: ['stop'] },
  ]);
  expect(events.at(-1)).toMatchObject({ usage: { completion_tokens: 9 } });

  let ended = false;
  async function* endless(): AsyncGenerator<GenerationEvent> {
    yield { type: 'start', prompt_tokens: 7 };
    try {
      for (;;) yield { type: 'delta', index: 0, text: `${key} `, tokens: [1, 2] };
    } finally {
      ended = true;
    }
  }
  const form = { choices: 1, json: false, calls: false, traced: false };
  const told: GenerationEvent[] = [];
  for await (const event of filterAnswer(endless(), filterOf(), form)) told.push(event);
  expect(ended).toBe(true);
  expect(told.at(-1)).toEqual({
    type: 'done',
    usage: { prompt_tokens: 7, completion_tokens: 4, total_tokens: 11 },
  });
});

test('what is put back is the same in any pieces, and is escaped where the text is JSON', async () => {
  await fc.assert(
    fc.asyncProperty(cut, fc.boolean(), async (cuts, inCall) => {
      const filter = filterOf();
      const quoted = 'jo."doe"@mail.org';
      const placeholder = filter.placeholders.of('email', quoted, quoted);
      const written = inCall
        ? { text: '', arguments: `{"to":"${placeholder}"}` }
        : { text: `To ${placeholder}.` };
      const kept: string[] = [];
      const events = joined([[...eventsOf(0, written, cuts, 0)]], []);
      let out = '';
      for await (const event of restoreAnswer(events, filter.placeholders, false, kept))
        out += event.type === 'delta' ? event.text : event.type === 'tool_call' ? event.arguments : '';
      if (inCall) expect(JSON.parse(out)).toEqual({ to: quoted });
      else expect(out).toBe(`To ${quoted}.`);
      expect(kept).toEqual([written.arguments ?? written.text]);
    }),
    { numRuns: 60 },
  );
});

test.each([
  ['is no JSON', 'allow all'],
  ['is no policy', '{}'],
  ['is nothing', ''],
  ['is of another version', policy.replace('"version":1', '"version":2')],
  ['has an example that does not come true', policy.replace('"gives":"no"', '"gives":"yes"')],
  ['has a rule for somebody unknown', policy.replace('"action":"mask"', '"action":"mask","keys":["a"]')],
  ['hashes without a secret', policy.replace('"action":"mask"', '"action":"hash"')],
])('a policy that %s opens no filter', (_, WICK_POLICY) => {
  const c = { env: { WICK_POLICY }, req: { header: () => undefined } } as unknown as EdgeContext;
  expect(() => openFilter(c)).toThrow(expect.objectContaining({ status: 500, code: 'policy_broken' }));
});

test('what is held back of an answer that breaks off is told before the failure', async () => {
  async function* broken(): AsyncGenerator<GenerationEvent> {
    yield { type: 'start', prompt_tokens: 1 };
    yield { type: 'delta', index: 0, text: `Ask ${mail}`, tokens: [1] };
    throw new Error('It broke off.');
  }
  const form = { choices: 1, json: false, calls: false, traced: false };
  let text = '';
  const read = async () => {
    for await (const event of filterAnswer(broken(), filterOf(), form))
      if (event.type === 'delta') text += event.text;
  };
  await expect(read()).rejects.toThrow('It broke off.');
  expect(text).toBe('Ask [EMAIL_1]');
});
