/** How a person is reached: e-mail and telephone. */
import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { alone, aloneNumber, type Detector, otherNumbers } from '../detector.ts';

const letter = '\\w\\u00c0-\\u024f\\u0370-\\u03ff\\u0400-\\u052f';

/** How numbers are written within countries, and which may be meant: a look that spares most the library's. */
const shapes: readonly [form: RegExp, countries: readonly CountryCode[]][] = [
  [/^(?:1[-. ]?)?\(?[2-9]\d\d\)?[-. ]{0,2}[2-9]\d\d[-. ]?\d{4}$/, ['US']],
  [/^\(?0[1-9]/, ['GB', 'DE', 'FR', 'IT', 'NL', 'BE', 'AU']],
  [/^\(\d\d\) ?9?\d{4}-?\d{4}$/, ['BR']],
  [/^[2-9]\d\d(?:[ .-]?\d{3}){2}$|^[6-9]\d\d(?: \d\d){3}$/, ['ES', 'PT', 'PL']],
  [/^[6-9]\d{4} ?\d{5}$/, ['IN']],
];
const date = /^(?:19|20)\d\d[-./ ][01]?\d[-./ ][0-3]?\d|^[0-3]?\d[-./][01]?\d[-./](?:19|20)\d\d/;

/** A number that there can be: with its country's code, or as one of the countries writes it. */
function isPhone(text: string): boolean {
  if (/^(?:\+|\(\+|00[1-9])/.test(text))
    return parsePhoneNumberFromString(text.replace(/^00/, '+'))?.isValid() === true;
  const digits = text.replace(/\D/g, '').length;
  if (digits < 9 || digits > 12 || date.test(text)) return false;
  const meant = shapes.find(([form]) => form.test(text))?.[1] ?? [];
  return meant.some((country) => parsePhoneNumberFromString(text, country)?.isValid() === true);
}

/** How much of a match is a number: the whole, or without the last groups of digits. */
function phoneBeginning(match: string): number | false {
  let end = match.length;
  for (let tries = 0; tries < 4 && end > 0; tries++) {
    if (isPhone(match.slice(0, end))) return end;
    end = match.slice(0, end).search(/[ .\-/()]+\d+$/);
  }
  return false;
}

/** Ends of names that are no domains: of files. */
const files = /\.(?:png|jpe?g|gif|webp|svg|css|js|ts|py|html?|pdf|zip)$/i;

export const contact: readonly Detector[] = [
  {
    type: 'email',
    group: 'contact',
    hint: '@',
    pattern: alone(
      `${letter}.+%-`,
      `[${letter}.+%-]{1,64}@(?:[${letter}-]{1,63}\\.){1,8}[a-z\\u00c0-\\u024f\\u0400-\\u052f]{2,24}`,
      'i',
      `${letter}@`,
    ),
    score: 0.9,
    check: (match) => !files.test(match),
  },
  {
    type: 'phone',
    group: 'contact',
    hint: /\d[^\w]{0,4}\d/g,
    pattern: aloneNumber('[+(]{0,2}\\d(?:[ .\\-/()]{0,3}\\d){6,14}'),
    score: 0.35,
    check: phoneBeginning,
    written: /^(?:\+|00)|\(\d+\)|^\d{3}([-. ])\d{3}\1\d{4}$|^0\d(?:[ .]\d\d){4}$|^0\d{2,4}[ /-]\d/,
    context:
      /\b(?:phone|tel|telephone|telefon|mobile|cell|call|ring|fax|whatsapp|sms|text|handy|telefono|tlf|contact|dial|reach)\b/i,
    against: otherNumbers,
  },
];
