/** Facts of a person that only the words before them tell from other numbers. */
import { alone, aloneNumber, type Detector } from '../detector.ts';

const months =
  'jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|mar(?:ch|s)?|apr(?:il)?|may|mai|june?|juni?|july?|juli|aug(?:ust)?|sep(?:t|tember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?';

/** A day of the last 120 years or so. */
function isBirthday(text: string): boolean {
  const numbers = (text.match(/\d+/g) ?? []).map(Number);
  const year = numbers.find((number) => number > 31);
  if (/[a-z]/i.test(text))
    return numbers.every((number) => number <= 31 || (number >= 1900 && number <= 2100));
  if (year !== undefined && year > 99 && (year < 1900 || year > 2100)) return false;
  const rest = numbers.filter((number) => number !== year);
  return rest.every((number) => number >= 1 && number <= 31) && rest.some((number) => number <= 12);
}

export const personal: readonly Detector[] = [
  {
    type: 'passport',
    group: 'personal',
    hint: /\d\w{0,4}\d\w{0,4}\d/g,
    pattern: alone('\\w', '[a-z]{0,2}\\d[a-z\\d]{5,8}', 'i'),
    score: 0.5,
    check: (match) => (match.match(/\d/g)?.length ?? 0) >= 5,
    context: /(?:passport|passeport|reisepass|pasaporte|passaporte|paspoort)[^!?\n]{0,32}$/i,
    needsContext: true,
  },
  {
    type: 'date_of_birth',
    group: 'personal',
    hint: /\d[^\d\n]{1,16}\d/g,
    pattern: aloneNumber(
      `\\d{1,4}[./-]\\d{1,2}[./-]\\d{1,4}|\\d{1,2}(?:st|nd|rd|th|\\.)? (?:of )?(?:${months})\\.?,? \\d{4}|(?:${months})\\.? \\d{1,2}(?:st|nd|rd|th)?,? \\d{4}`,
      'i',
    ),
    score: 0.45,
    check: isBirthday,
    context:
      /(?:\bborn\b|birth|\bdob\b|d\.o\.b|geboren|geburtsdatum|\bgeb\.|\bnee?\b|naci|nasci|\bnat[oa]\b|geboortedatum|urodz|fodd)[^!?\n]{0,32}$/i,
    needsContext: true,
  },
];
