/** Where money is: cards, bank accounts, wallets. */
import { sha256 } from '@noble/hashes/sha2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bech32, bech32m, createBase58check } from '@scure/base';
import { electronicFormatIBAN, isValidIBAN } from 'ibantools';
import { luhnChecksumValidate } from 'stdnum/lib/cjs/util/checksum.js';
import { alone, compact, type Detector, spaced, twoDigits, validBeginning } from '../detector.ts';

/** The first digits and the lengths of the schemes' numbers (ISO/IEC 7812). */
const schemes =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}|(?:50|5[6-8]|6[0379])\d{10,17})$/;

/** A card's number: of a scheme, and with its check digit (Luhn). */
export function isCard(text: string): boolean {
  const digits = compact(text);
  return schemes.test(digits) && luhnChecksumValidate(digits) && !/^(\d)\1+$/.test(digits);
}

/** A bank account (ISO 13616): its country's form and the check digits (mod 97). */
export const isIban = (text: string): boolean => isValidIBAN(electronicFormatIBAN(text) ?? '');

const base58check = createBase58check(sha256);

/** The address decodes and its checksum is right; base58check with version of Bitcoin, or bech32 (BIP 173, 350). */
function isBitcoin(text: string): boolean {
  try {
    if (/^bc1/i.test(text)) {
      const lower = text as `${string}1${string}`;
      return text[3].toLowerCase() === 'q'
        ? bech32.decode(lower).words.length > 0
        : bech32m.decode(lower).words.length > 0;
    }
    const bytes = base58check.decode(text);
    return bytes.length === 21 && (bytes[0] === 0 || bytes[0] === 5);
  } catch {
    return false;
  }
}

/** Letters in both cases are a checksum (EIP-55); in one case there is none. */
function isEthereum(text: string): boolean {
  const hex = text.slice(2);
  if (hex === hex.toLowerCase() || hex === hex.toUpperCase()) return /[1-9a-f]/i.test(hex);
  const hash = keccak_256(new TextEncoder().encode(hex.toLowerCase()));
  return [...hex].every((character, i) => {
    const nibble = (hash[i >> 1] >> (i % 2 === 0 ? 4 : 0)) & 15;
    return character === (nibble >= 8 ? character.toUpperCase() : character.toLowerCase());
  });
}

const wallet = /\b(?:btc|bitcoin|eth|ether|ethereum|wallet|crypto|address)\b/i;

export const financial: readonly Detector[] = [
  {
    type: 'card',
    group: 'financial',
    hint: twoDigits,
    // Also between letters, for a check digit tells it from other numbers; only hexadecimal digits are too many.
    pattern: new RegExp(`(?<![\\da-f]|\\d[.,-])${spaced(12, 19)}(?![\\da-f]|[.,]\\d)`, 'gi'),
    score: 0.7,
    // A digit and a point begin a decimal number.
    check: (match) => !/^\d\.\d{4}/.test(match) && validBeginning(match, isCard),
    context:
      /\b(?:card|visa|mastercard|amex|american express|discover|credit|debit|karte|carte|tarjeta|cvv|pan)\b/i,
    against: /\b(?:order|tracking|isbn|imei|serial|parcel)\b[^.!?\n]{0,24}$/i,
  },
  {
    type: 'iban',
    group: 'financial',
    hint: /[a-z]{2}\W?\d\W?\d/gi,
    pattern: alone('a-z\\d', '[a-z][ -]?[a-z](?:[ -]?\\d){2}(?:[ .-]?[a-z\\d]){11,30}', 'i'),
    score: 0.9,
    check: (match) => validBeginning(match, isIban),
  },
  {
    type: 'bitcoin_address',
    group: 'financial',
    hint: /[13][\da-z]{25}|bc1[\da-z]{8}/gi,
    pattern: alone('\\w', '[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?:bc1|BC1)[ac-hj-np-zAC-HJ-NP-Z02-9]{11,71}'),
    score: 0.95,
    check: isBitcoin,
    context: wallet,
  },
  {
    type: 'ethereum_address',
    group: 'financial',
    hint: '0x',
    pattern: alone('\\w', '0x[\\da-fA-F]{40}'),
    score: 0.85,
    check: isEthereum,
    context: wallet,
  },
];
