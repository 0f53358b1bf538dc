/** How a person is reached: e-mail and telephone. */
import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { alone, aloneNumber, type Detector, NO_FORM, otherNumbers, twoDigits } from '../detector.ts';

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

/** In North America, with its signs: nobody writes anything else so, also where there is no such number. */
const northAmerican = /^(?:(?:\+|00)?1[-. ])?(?:\(\d{3}\) ?\d{3}[-. ]|\d{3}([-.])\d{3}\1)\d{4}$/;

/** A number that there can be: as long as its country's code allows, or as one of the countries writes it. */
function isPhone(text: string): boolean {
  if (northAmerican.test(text)) return true;
  if (/^(?:\+|\(\+|00[1-9])/.test(text)) {
    const number = parsePhoneNumberFromString(text.replace(/^00/, '+'));
    // What begins with a plus is meant for one; two zeros may begin anything.
    return (text.includes('+') ? number?.isPossible() : number?.isValid()) === true;
  }
  const digits = text.replace(/\D/g, '').length;
  if (digits < 9 || digits > 12 || date.test(text)) return false;
  const meant = shapes.find(([form]) => form.test(text))?.[1] ?? [];
  return meant.some((country) => parsePhoneNumberFromString(text, country)?.isValid() === true);
}

const extension = /[ ,]{0,2}(?:x|ext\.?)[ .]{0,2}\d{1,6}$/i;

/** How much of a match is a number: the whole, or without the last groups of digits. */
function phoneBeginning(match: string): number | false {
  const within = match.search(extension);
  if (within >= 0 && isPhone(match.slice(0, within))) return match.length;
  let end = within >= 0 ? within : match.length;
  for (let tries = 0; tries < 4 && end > 0; tries++) {
    if (isPhone(match.slice(0, end))) return end;
    end = match.slice(0, end).search(/[ .\-/()]+\d+$/);
  }
  return false;
}

const digitsOfPhone = '[+(]{0,2}\\d(?:[ .\\-/()]{0,3}\\d){6,14}(?:[ ,]{0,2}(?:x|ext\\.?)[ .]{0,2}\\d{1,6})?';

/** Any digits that are no day, where words before them say that they are a telephone's. */
const isAnyPhone = (match: string): boolean =>
  !date.test(match) && !/^(?:19|20)\d\d([-/ ])(?:19|20)\d\d$/.test(match);

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
    hint: twoDigits,
    pattern: aloneNumber(digitsOfPhone, 'i'),
    score: 0.35,
    check: phoneBeginning,
    written:
      /^(?:\+|00)|\(\d+\)|^(?:1[-. ])?\d{3}([-. ])\d{3}\1\d{4}(?:\D|$)|^0\d(?:[ .]\d\d){4}$|^0\d{2,4}[ /-]\d/,
    context:
      /\b(?:phone|tel|telephone|telefon|mobile|cell|call|ring|fax|whatsapp|sms|text|handy|telefono|tlf|contact|dial|reach)\b/i,
    against: otherNumbers,
  },
  {
    type: 'phone',
    group: 'contact',
    hint: twoDigits,
    pattern: aloneNumber(digitsOfPhone, 'i'),
    score: NO_FORM,
    check: isAnyPhone,
    context:
      /\b(?:(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|whatsapp|handy|hotline|call|ring|text|dial|reach|contact)(?: (?:number|no|nr|is|was|at|on|under|via|me|us|him|her|them|back)\b){0,4}[.:=#]? ?$/i,
    needsContext: true,
    against: otherNumbers,
  },
];
