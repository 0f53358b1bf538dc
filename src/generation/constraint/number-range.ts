/** Numbers between bounds, as JSON writes them, digit by digit. */
import {
  choice,
  type Expression,
  empty,
  nothing,
  oneOf,
  optional,
  repeat,
  sequence,
  text,
} from './expression.ts';

export interface Bounds {
  /** -Infinity and Infinity where there is none. */
  min: number;
  max: number;
  /** Whether the bound itself is left out. */
  aboveMin?: boolean;
  belowMax?: boolean;
}

/** Whole numbers have at most 15 digits, and before a point at most 9 with 6 behind it: doubles tell these apart. */
const LARGEST = 999_999_999_999_999;
const LARGEST_BEFORE_POINT = 999_999_999;
const PLACES = 6;

const digit = (from = 0, to = 9): Expression => oneOf([0x30 + from, 0x30 + to]);
const anyDigits = (count: number): Expression => repeat(digit(), count, count);

/** Whole numbers between bounds. */
export function wholeBetween({ min, max, aboveMin, belowMax }: Bounds): Expression {
  const least = Math.max(-LARGEST, aboveMin ? Math.floor(min) + 1 : Math.ceil(min));
  const most = Math.min(LARGEST, belowMax ? Math.ceil(max) - 1 : Math.floor(max));
  return choice(
    sequence(text('-'), naturalBetween(Math.max(1, -most), -least)),
    naturalBetween(Math.max(0, least), most),
  );
}

/** Whole numbers from 0 up, without leading zeros. */
function naturalBetween(least: number, most: number): Expression {
  const options: Expression[] = [];
  for (let from = least; from <= most; ) {
    const length = String(from).length;
    const to = Math.min(most, 10 ** length - 1);
    options.push(digitsBetween(String(from), String(to)));
    from = to + 1;
  }
  return choice(...options);
}

/** Digits between two of the same length. */
function digitsBetween(low: string, high: string): Expression {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return anyDigits(low.length);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const rest = lowRest.length;
  if (first === last) return sequence(text(low[0]), digitsBetween(lowRest, highRest));
  const options = [
    sequence(text(low[0]), digitsBetween(lowRest, '9'.repeat(rest))),
    sequence(text(high[0]), digitsBetween('0'.repeat(rest), highRest)),
  ];
  if (last - first > 1) options.push(sequence(digit(first + 1, last - 1), anyDigits(rest)));
  return choice(...options);
}

/** Numbers with or without a point between bounds; none has an exponent. */
export function numberBetween({ min, max, aboveMin = false, belowMax = false }: Bounds): Expression {
  const options: Expression[] = [];
  if (max > 0 || (max === 0 && !belowMax)) {
    const low = min > 0 ? { value: min, open: aboveMin } : { value: 0, open: min === 0 && aboveMin };
    options.push(magnitude(low, { value: max, open: belowMax }));
  }
  if (min < 0) {
    const low = max < 0 ? { value: -max, open: belowMax } : { value: 0, open: true };
    options.push(sequence(text('-'), magnitude(low, { value: -min, open: aboveMin })));
  }
  return choice(...options);
}

interface Bound {
  value: number;
  /** Whether it is left out itself. */
  open: boolean;
}

/** Numbers from 0 up between bounds. */
function magnitude(low: Bound, high: Bound): Expression {
  const [lowWhole, lowPlaces] = decimal(low.value);
  const [highWhole, highPlaces] =
    high.value > LARGEST_BEFORE_POINT ? [LARGEST_BEFORE_POINT, undefined] : decimal(high.value);
  if (lowWhole > highWhole) return nothing;
  const lower = { digits: lowPlaces, open: low.open };
  const upper = highPlaces === undefined ? undefined : { digits: highPlaces, open: high.open };
  if (lowWhole === highWhole) return sequence(text(String(lowWhole)), places(lower, upper));
  return choice(
    sequence(text(String(lowWhole)), places(lower, undefined)),
    sequence(text(String(highWhole)), places(undefined, upper)),
    sequence(naturalBetween(lowWhole + 1, highWhole - 1), places(undefined, undefined)),
  );
}

/** The whole part, and the digits behind the point without zeros at their end. */
function decimal(value: number): [whole: number, places: string] {
  const written = /e/.test(String(value)) ? value.toFixed(20) : String(value);
  const [whole, rest = ''] = written.split('.');
  return [Number(whole), rest.replace(/0+$/, '')];
}

interface Places {
  digits: string;
  open: boolean;
}

/** A point and digits, or nothing, between bounds on them. */
function places(low: Places | undefined, high: Places | undefined): Expression {
  const most = Math.max(PLACES, low?.digits.length ?? 0, high?.digits.length ?? 0);
  const known = new Map<string, Expression>();
  const first = from(0, low !== undefined, high !== undefined, false);
  const withPoint = sequence(text('.'), first);
  return mayEnd(0, low !== undefined, high !== undefined) ? optional(withPoint) : withPoint;

  /** Whether the digits may end before this place; `onLow`, `onHigh`: so far they are those of the bound. */
  function mayEnd(place: number, onLow: boolean, onHigh: boolean): boolean {
    if (onLow && (place < low!.digits.length || low!.open)) return false;
    return !(onHigh && place >= high!.digits.length && high!.open);
  }

  function from(place: number, onLow: boolean, onHigh: boolean, begun: boolean): Expression {
    const key = `${place} ${onLow} ${onHigh}`;
    const before = known.get(key);
    if (before) return before;
    const options: Expression[] = begun && mayEnd(place, onLow, onHigh) ? [empty] : [];
    if (place < most) {
      const least = onLow ? Number(low!.digits[place] ?? 0) : 0;
      const largest = onHigh ? Number(high!.digits[place] ?? 0) : 9;
      const inner = [onLow ? least + 1 : least, onHigh ? largest - 1 : largest];
      if (inner[0] <= inner[1])
        options.push(sequence(digit(inner[0], inner[1]), from(place + 1, false, false, true)));
      if (least <= largest && onLow && !(onHigh && least === largest))
        options.push(sequence(digit(least, least), from(place + 1, true, false, true)));
      if (least <= largest && onHigh && !(onLow && least === largest))
        options.push(sequence(digit(largest, largest), from(place + 1, false, true, true)));
      if (onLow && onHigh && least === largest)
        options.push(sequence(digit(least, least), from(place + 1, true, true, true)));
    }
    const made = choice(...options);
    known.set(key, made);
    return made;
  }
}
