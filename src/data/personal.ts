/** Personal data in running text: found, and replaced by something of the same kind that belongs to nobody. */

interface PersonalRule {
  name: string;
  pattern: RegExp;
  /** A second look, where the pattern alone catches too much. */
  holds?: (match: string) => boolean;
  placeholder: string;
}

/** Order matters: longer forms first, so that a card number is not taken for a telephone number. */
export const personalRules: readonly PersonalRule[] = [
  // Names that RFC 2606 keeps free of owners.
  { name: 'email', pattern: /\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,4}[a-z]{2,24}\b/gi, placeholder: 'name@example.com' },
  { name: 'iban', pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b/g, holds: ibanHolds, placeholder: 'GB00 BANK 0000 0000 0000 00' },
  { name: 'card', pattern: /\b\d(?:[ -]?\d){12,18}\b/g, holds: luhnHolds, placeholder: '0000 0000 0000 0000' },
  { name: 'ssn', pattern: /\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b/g, placeholder: '000-00-0000' },
  // 192.0.2.1 is the address that RFC 5737 sets aside for documents.
  { name: 'ip', pattern: /\b(?:\d{1,3}\.){3}\d{1,3}\b/g, holds: publicAddress, placeholder: '192.0.2.1' },
  {
    name: 'phone',
    pattern: /(?<![\w.,$€£-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-])/g,
    // 555-0100 to 555-0199 are kept for stories, and belong to nobody.
    holds: (match) => !/555[ .-]?01\d\d$/.test(match) && match.replace(/\D/g, '').length >= 10,
    placeholder: '555-0100',
  },
];

/** The text with placeholders, and how often each kind was found. */
export function maskPersonalData(text: string): { text: string; found: Record<string, number> } {
  const found: Record<string, number> = {};
  let masked = text;
  for (const { name, pattern, holds, placeholder } of personalRules) {
    masked = masked.replace(pattern, (match) => {
      if (match === placeholder || (holds && !holds(match))) return match;
      found[name] = (found[name] ?? 0) + 1;
      return placeholder;
    });
  }
  return { text: masked, found };
}

/** The check digit of payment cards (ISO/IEC 7812, Luhn). */
function luhnHolds(match: string): boolean {
  const digits = match.replace(/\D/g, '');
  if (/^0+$/.test(digits)) return false;
  const sum = [...digits].reverse().reduce((total, digit, i) => {
    const doubled = Number(digit) * (i % 2 === 1 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0;
}

/** The check digits of ISO 13616: the rearranged number is 1 modulo 97. */
function ibanHolds(match: string): boolean {
  const code = match.replace(/ /g, '');
  if (code.length < 15 || code.length > 34) return false;
  const digits = (code.slice(4) + code.slice(0, 4)).replace(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
  let rest = 0;
  for (const digit of digits) rest = (rest * 10 + Number(digit)) % 97;
  return rest === 1;
}

function publicAddress(match: string): boolean {
  const [a, b, c, d] = match.split('.').map(Number);
  if ([a, b, c, d].some((part) => part > 255)) return false;
  // Version numbers and private networks name nobody.
  return !(a === 0 || a === 10 || a === 127 || (a === 192 && b === 168) || (a === 172 && b >= 16 && b < 32) || a < 11);
}
