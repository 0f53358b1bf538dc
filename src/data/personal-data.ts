/** Personal data in text, replaced by values of the same form that belong to nobody. */
import { luhnChecksumValidate } from 'stdnum/lib/cjs/util/checksum.js';
import { isIban } from '../filtering/detectors/financial.ts';

interface PersonalData {
  name: string;
  /** A filter on the text that makes the pattern worth trying: most texts hold none. */
  hint: RegExp;
  pattern: RegExp;
  /** Stands for what was found; itself never counted. */
  placeholder: string;
  /** Tells the real from the similar. */
  check?: (match: string) => boolean;
}

const digits = (text: string) => text.replace(/\D/g, '');

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
  {
    name: 'phone number',
    hint: /\d[\d .()-]{6,}\d/,
    pattern:
      /(?<![\d.+-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}|(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4})(?![\d-]|\.\d)/g,
    placeholder: '(555) 555-0100',
    check: (match) => {
      const number = digits(match);
      // 555-0100 to 555-0199 belong to nobody.
      return number.length >= 8 && number.length <= 15 && !/55501\d\d$/.test(number);
    },
  },
  {
    name: 'IP address',
    hint: /\d\.\d+\.\d+\.\d|[\da-f]{1,4}:[\da-f:]{4,}/i,
    pattern:
      /(?<![\d.:])(?:\d{1,3}\.){3}\d{1,3}(?![\d:]|\.\d)|(?<![\w:])(?:[\da-f]{1,4}:){7}[\da-f]{1,4}(?![\w:])/gi,
    placeholder: '192.0.2.1',
    check: isPublicAddress,
  },
];

/** Replaces personal data; `counts` gets one more under the name of each kind found. */
export function replacePersonalData(text: string, counts?: Record<string, number>): string {
  for (const { name, hint, pattern, placeholder, check } of personalData) {
    if (!hint.test(text)) continue;
    text = text.replace(pattern, (match) => {
      if (match === placeholder || check?.(match) === false) return match;
      if (counts) counts[name] = (counts[name] ?? 0) + 1;
      return placeholder;
    });
  }
  return text;
}

/** Private, reserved and documentation ranges name no one. */
function isPublicAddress(address: string): boolean {
  if (address.includes(':')) return !/^2001:0?db8:|^f[cde]|^0{1,4}:/i.test(address);
  const parts = address.split('.').map(Number);
  const [a, b, c] = parts;
  if (parts.some((part) => part > 255) || a === 0 || a === 10 || a === 127 || a >= 224) return false;
  const reserved =
    (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)))) ||
    (a === 172 && b >= 16 && b <= 31) ||
    (a === 169 && b === 254) ||
    (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) ||
    (a === 203 && b === 0 && c === 113);
  return !reserved;
}
