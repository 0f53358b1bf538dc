/** Personal data in text, replaced by values of the same form that belong to nobody. */
import { luhnChecksumValidate } from 'stdnum/lib/cjs/util/checksum.js';
import { CONTEXT_LENGTH, type Detector, recognize } from '../filtering/detector.ts';
import { contact } from '../filtering/detectors/contact.ts';
import { isIban } from '../filtering/detectors/financial.ts';
import { network } from '../filtering/detectors/network.ts';

interface PersonalData {
  name: string;
  /** A filter on the text that makes the pattern worth trying: most texts hold none. */
  hint: string | RegExp;
  pattern: RegExp;
  /** Stands for what was found; itself never counted. */
  placeholder: string;
  /** Tells the real from the similar, by what stands before it, too: whether it is one, or how many of its units are. */
  check?: (match: string, before: string) => boolean | number;
}

const digits = (text: string) => text.replace(/\D/g, '');

/** A score from which on a finding is taken for one. */
const SURE = 0.5;

interface Detected extends Pick<PersonalData, 'name' | 'placeholder'> {
  somebodys(value: string, before: string): boolean;
}

/** What detectors of a type find, but for values that are nobody's. */
const detected = (
  detectors: readonly Detector[],
  type: string,
  { name, placeholder, somebodys }: Detected,
): PersonalData[] =>
  detectors
    .filter((detector) => detector.type === type)
    .map((detector) => ({
      ...{ name, placeholder, hint: detector.hint, pattern: detector.pattern },
      check(match, before) {
        const found = recognize(detector, match, before);
        if (!found || found.score < SURE || !somebodys(found.value, before)) return false;
        return found.value.length;
      },
    }));

/** The kinds, in the order they are looked for: longer numbers before those that could lie within them. */
export const personalData: readonly PersonalData[] = [
  {
    name: 'email',
    hint: /@/,
    pattern: /(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z\d-]{1,63}\.)+[a-z]{2,24}\b/gi,
    placeholder: 'email@example.com',
    check: (match) => !/@(?:[\w-]+\.)*example\.(?:com|org|net)$/i.test(match),
  },
  {
    name: 'IBAN',
    hint: /[A-Z]{2}\d{2}/,
    pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,3})?\b/g,
    placeholder: 'GB00 WICK 0000 0000 0000 00',
    check: isIban,
  },
  {
    name: 'credit card',
    hint: /\d[\d -]{11,}\d/,
    pattern: /(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])/g,
    placeholder: '0000 0000 0000 0000',
    check: (match) =>
      luhnChecksumValidate(digits(match)) && !/^0+$/.test(digits(match)) && /^[3-6]/.test(match),
  },
  {
    name: 'US social security number',
    hint: /\d{3}-\d{2}-\d{4}/,
    pattern: /(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])/g,
    placeholder: '000-00-0000',
  },
  ...detected(network, 'ip_address', {
    ...{ name: 'IP address', placeholder: '192.0.2.1', somebodys: isPublicAddress },
  }),
  ...detected(contact, 'phone', {
    ...{ name: 'phone number', placeholder: '(555) 555-0100' },
    // 555-0100 to 555-0199 belong to nobody; what is written as an address has been looked at as one; and behind other
    // digits only what is written as nothing else is no part of a longer number.
    somebodys: (value, before) =>
      !/5501\d\d$/.test(digits(value)) &&
      !/^\d{1,3}(?:\.\d{1,3}){3}$/.test(value) &&
      (!/\d[ .-]$/.test(before) || /^[+(]|^\d{3}[-.]\d{3}[-.]\d{4}/.test(value)),
  }),
];

/** Replaces personal data; `counts` gets one more under the name of each kind found. */
export function replacePersonalData(text: string, counts?: Record<string, number>): string {
  return personalData.reduce((whole, kind) => replaceKind(whole, kind, counts), text);
}

function replaceKind(
  text: string,
  { name, hint, pattern, placeholder, check }: PersonalData,
  counts?: Record<string, number>,
): string {
  if (typeof hint === 'string' ? !text.includes(hint) : text.search(hint) < 0) return text;
  let [done, replaced, context] = [0, '', ''];
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
    const [match] = found;
    const since = text.slice(Math.max(done, found.index - CONTEXT_LENGTH), found.index);
    const before = (context + since).slice(-CONTEXT_LENGTH);
    const real = match !== placeholder && (check?.(match, before) ?? true);
    // What is none may hold one a little further on.
    pattern.lastIndex = found.index + 1;
    if (real === false) continue;
    if (counts) counts[name] = (counts[name] ?? 0) + 1;
    replaced += text.slice(done, found.index) + placeholder;
    context = before + placeholder;
    done = found.index + (real === true ? match.length : real);
    pattern.lastIndex = done;
  }
  return replaced + text.slice(done);
}

/** Private, reserved and documentation ranges name no one. */
function isPublicAddress(address: string): boolean {
  if (address.includes(':')) return !/^2001:0?db8:|^f[cde]|^0{0,4}:/i.test(address);
  const parts = address.split('.').map(Number);
  const [a, b, c] = parts;
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  const reserved =
    (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)))) ||
    (a === 172 && b >= 16 && b <= 31) ||
    (a === 169 && b === 254) ||
    (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) ||
    (a === 203 && b === 0 && c === 113);
  return !reserved;
}
