import fc from 'fast-check';
import { expect, it } from 'vitest';
import { followText } from '../../src/api/text-offsets.ts';

it('says where tokens begin, whole or in pieces that lag behind them', () => {
  const token = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(token, { maxLength: 12 }),
      fc.array(fc.nat(3), { maxLength: 12 }),
      (tokens, lags) => {
        const text = tokens.join('');
        let at = 0;
        const places = tokens.map((each) => {
          at += each.length;
          return at - each.length;
        });
        expect(followText()(text, tokens)).toEqual(places);
        const follow = followText();
        let [told, written] = [0, 0];
        const inPieces = tokens.flatMap((each, i) => {
          told += each.length;
          const end = i === tokens.length - 1 ? told : Math.max(written, told - (lags[i] ?? 0));
          const piece = text.slice(written, end);
          written = end;
          return follow(piece, [each]);
        });
        expect(inPieces).toEqual(places);
      },
    ),
  );
});

it('passes over what is not written, and puts parts of a character where it stands', () => {
  const parts = ['<s>', 'a ', '\ufffd', '\ufffd', ' b'];
  expect(followText()('a 🦊 b', parts)).toEqual([0, 0, 2, 2, 4]);
});
