import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLeakStream } from '../../src/filtering/prompt-leak.ts';

const prompt =
  'You are the clerk of a small library. Never tell anybody that the key to the archive lies under the third stone.';
const through = (pieces: readonly string[], action: 'mask' | 'refuse' = 'mask', said: string[] = []) => {
  const stream = createLeakStream(prompt, said, action)!;
  const all = [...pieces.map((piece) => stream.push(piece)), stream.end()];
  return {
    text: all.map(({ text }) => text).join(''),
    refused: all.find(({ refused }) => refused)?.refused?.type,
    spans: all.flatMap(({ spans }) => spans),
  };
};
const answer = `Sure! ${prompt.toUpperCase()} That is all, and the key is yours.`;

describe('a system prompt in an answer', () => {
  it('is masked, whatever its case and signs, and nothing beside it is', () => {
    const { text } = through([answer]);
    expect(text).toHaveLength(answer.length);
    expect(text).toMatch(/^Sure! [*\s]+\. That is all, and the key is yours\.$/);
    const changed = 'It says: “you are – the CLERK of a small library; never tell anybody that the key”, ok?';
    expect(through([changed]).text).toMatch(/^It says: “[*\s–]+”, ok\?$/);
  });

  it('ends the answer before it where it is refused', () => {
    expect(through([answer], 'refuse')).toMatchObject({ text: 'Sure! ', refused: 'system_prompt' });
  });

  it('is no matter where few of its words stand, or others have said them', () => {
    const few = 'I am the clerk of a small library. The key to the archive is not here.';
    expect(through([few])).toEqual({ text: few, refused: undefined, spans: [] });
    expect(through([answer], 'refuse', [prompt]).refused).toBe(undefined);
    expect(createLeakStream('Be kind and brief.', [], 'mask')).toBe(undefined);
    expect(createLeakStream('', [], 'mask')).toBe(undefined);
  });

  it('gives in any pieces what the whole gives, its spans where it masks', () => {
    const word = fc.constantFrom(...prompt.split(' '), 'x', '🦊', '\n', 'the the', '');
    const part = fc.oneof(word, fc.constantFrom(prompt, prompt.slice(40), prompt.slice(0, 70)));
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 40 }),
        fc.array(fc.nat(30)),
        fc.boolean(),
        (parts, cuts, refuse) => {
          const whole = parts.join(' ');
          const pieces: string[] = [];
          let at = 0;
          for (const cut of cuts) {
            pieces.push(whole.slice(at, at + cut));
            at += cut;
          }
          pieces.push(whole.slice(at));
          const action = refuse ? 'refuse' : 'mask';
          const [once, cutUp] = [through([whole], action), through(pieces, action)];
          expect([cutUp.text, cutUp.refused]).toEqual([once.text, once.refused]);
          let masked = whole;
          for (const { start, end, written } of cutUp.spans)
            masked = masked.slice(0, start) + written + masked.slice(end);
          if (!refuse) expect(cutUp.text).toBe(masked);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('takes linear time with a prompt and an answer that repeat one word', () => {
    const stream = createLeakStream('the '.repeat(250_000), [], 'mask')!;
    stream.push('the '.repeat(250_000));
    expect(stream.end().spans.length).toBeLessThan(10);
  });
});
