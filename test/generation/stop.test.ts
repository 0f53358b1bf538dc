import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createStopMatcher } from '../../src/generation/stop.ts';

/** The text before the first stop string, in one look. */
function whole(text: string, stops: string[]): { text: string; stopped: boolean } {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return found.length > 0
    ? { text: text.slice(0, Math.min(...found)), stopped: true }
    : { text, stopped: false };
}

function inPieces(pieces: string[], stops: string[]): { text: string; stopped: boolean } {
  const matcher = createStopMatcher(stops);
  let shown = '';
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    shown += text;
    if (stopped) return { text: shown, stopped };
  }
  const rest = matcher.end();
  return { text: shown + rest.text, stopped: rest.stopped };
}

const letters = fc.string({
  unit: fc.constantFrom('a', 'b', 'c', '\n'),
  maxLength: 40,
});
const stops = fc.array(
  fc.string({
    unit: fc.constantFrom('a', 'b', 'c', '\n'),
    minLength: 1,
    maxLength: 5,
  }),
  { maxLength: 4 },
);

it('finds the same stop however the text is cut', () => {
  fc.assert(
    fc.property(
      letters,
      stops,
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 40 }),
      (text, stops, lengths) => {
        const pieces: string[] = [];
        let at = 0;
        for (const length of lengths) {
          pieces.push(text.slice(at, at + length));
          at += length;
        }
        pieces.push(text.slice(at));
        expect(inPieces(pieces, stops)).toEqual(whole(text, stops));
      },
    ),
    { numRuns: 2000 },
  );
});

it('holds back no more than may become a stop', () => {
  const matcher = createStopMatcher(['\nHuman:']);
  expect(matcher.push('Hello')).toEqual({ text: 'Hello', stopped: false });
  expect(matcher.push('\nHum')).toEqual({ text: '', stopped: false });
  expect(matcher.push('ble')).toEqual({ text: '\nHumble', stopped: false });
});
