/** National identity numbers of seventeen countries, each with the checks that its issuer gave it. */
import * as tfn from 'stdnum/lib/cjs/au/tfn.js';
import * as nn from 'stdnum/lib/cjs/be/nn.js';
import * as cnpj from 'stdnum/lib/cjs/br/cnpj.js';
import * as cpf from 'stdnum/lib/cjs/br/cpf.js';
import * as sin from 'stdnum/lib/cjs/ca/sin.js';
import * as ric from 'stdnum/lib/cjs/cn/ric.js';
import * as idnr from 'stdnum/lib/cjs/de/idnr.js';
import * as dni from 'stdnum/lib/cjs/es/dni.js';
import * as nie from 'stdnum/lib/cjs/es/nie.js';
import * as hetu from 'stdnum/lib/cjs/fi/hetu.js';
import * as nir from 'stdnum/lib/cjs/fr/nir.js';
import * as nino from 'stdnum/lib/cjs/gb/nino.js';
import * as aadhaar from 'stdnum/lib/cjs/in/aadhaar.js';
import * as codiceFiscale from 'stdnum/lib/cjs/it/codicefiscale.js';
import * as bsn from 'stdnum/lib/cjs/nl/bsn.js';
import * as pesel from 'stdnum/lib/cjs/pl/pesel.js';
import * as nif from 'stdnum/lib/cjs/pt/nif.js';
import * as personnummer from 'stdnum/lib/cjs/se/personnummer.js';
import * as ssn from 'stdnum/lib/cjs/us/ssn.js';
import { aloneNumber, compact, type Detector, otherNumbers, spaced, threeDigits } from '../detector.ts';

interface Form {
  type: string;
  body: string;
  check: (text: string) => boolean;
  /** High where chance alone seldom makes one: many check digits, letters, a date. */
  score: number;
  written?: RegExp;
  context: RegExp;
}

/** A check of the library's. It makes an Error for each no: without their stacks, that no one reads, it is ten times as fast. */
function valid({ validate }: { validate: (value: string) => { isValid: boolean } }, text: string): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return validate(text.toUpperCase()).isValid;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
const by = (validator: Parameters<typeof valid>[0]) => (text: string) => valid(validator, compact(text));

/** The number of Britain's health service: weights 10 to 2, the check digit makes the sum a multiple of 11. */
function isNhsNumber(text: string): boolean {
  const digits = [...compact(text)].map(Number);
  const sum = digits.slice(0, 9).reduce((total, digit, i) => total + digit * (10 - i), 0);
  return (11 - (sum % 11)) % 11 === digits[9] && new Set(digits).size > 1;
}

/** Groups of digits with one sign between them, the same each time. */
const grouped = (...lengths: number[]): RegExp =>
  new RegExp(
    `^${lengths.map((length, i) => `\\d{${length}}${i === 0 ? '([ .-])' : i < lengths.length - 1 ? '\\1' : ''}`).join('')}$`,
  );

const forms: readonly Form[] = [
  {
    type: 'us_ssn',
    body: '\\d{3}[ .-]?\\d{2}[ .-]?\\d{4}',
    check: by(ssn),
    score: 0.2,
    written: /^\d{3}([ -])\d{2}\1\d{4}$/,
    context: /\b(?:ssn|social security|soc sec)\b/i,
  },
  {
    type: 'uk_nino',
    body: '[a-z][ -]?[a-z][ -]?\\d(?:[ -]?\\d){5}[ -]?[a-d]',
    check: by(nino),
    score: 0.75,
    context: /\b(?:national insurance|nino|ni (?:number|no))\b/i,
  },
  {
    type: 'uk_nhs',
    body: spaced(10),
    check: isNhsNumber,
    score: 0.1,
    written: grouped(3, 3, 4),
    context: /\b(?:nhs|health service|patient)\b/i,
  },
  {
    type: 'de_steuer_id',
    body: spaced(11),
    check: by(idnr),
    score: 0.3,
    written: /^\d{2} \d{3} \d{3} \d{3}$/,
    context: /\b(?:steuer-?id(?:entifikationsnummer|nr)?|idnr|identifikationsnummer|tin|tax id)\b/i,
  },
  {
    type: 'fr_nir',
    body: '[12](?:[ .-]?\\d){4}[ .-]?(?:\\d[ .-]?\\d|2[ .-]?[ab])(?:[ .-]?\\d){8}',
    check: by(nir),
    score: 0.75,
    context: /\b(?:securite sociale|nir|insee|secu|social security)\b/i,
  },
  {
    type: 'it_codice_fiscale',
    // Where digits stand there may be letters instead, so that two people never have the same.
    body: [
      '[a-z]{6}',
      '[\\dlmnp-v]{2}',
      '[abcdehlmprst]',
      '[\\dlmnp-v]{2}',
      '[a-z]',
      '[\\dlmnp-v]{3}',
      '[a-z]',
    ].join('[ -]?'),
    check: by(codiceFiscale),
    score: 0.9,
    context: /\b(?:codice fiscale|cf)\b/i,
  },
  {
    type: 'es_dni',
    body: '\\d(?:[ .-]?\\d){7}[ -]?[a-z]',
    check: by(dni),
    score: 0.7,
    context: /\b(?:dni|nif|documento nacional)\b/i,
  },
  {
    type: 'es_nie',
    body: '[xyz](?:[ .-]?\\d){7}[ -]?[a-z]',
    check: by(nie),
    score: 0.75,
    context: /\b(?:nie|extranjero)\b/i,
  },
  {
    type: 'nl_bsn',
    body: spaced(9),
    check: by(bsn),
    score: 0.2,
    context: /\b(?:bsn|burgerservicenummer|sofinummer)\b/i,
  },
  {
    type: 'be_national_number',
    body: '\\d(?:[ .-]?\\d){10}',
    check: by(nn),
    score: 0.4,
    written: /^\d{2}\.\d{2}\.\d{2}[- ]\d{3}[. ]\d{2}$/,
    context: /\b(?:rijksregister(?:nummer)?|insz|niss|registre national|numero national|national number)\b/i,
  },
  {
    type: 'se_personnummer',
    body: '(?:\\d[ ]?\\d[ ]?)?\\d(?:[ ]?\\d){5} ?[+-]? ?\\d(?:[ ]?\\d){3}',
    check: (text) => {
      const digits = text.replaceAll(' ', '');
      return personnummer.validate(
        /[+-]/.test(digits) ? digits : `${digits.slice(0, -4)}-${digits.slice(-4)}`,
      ).isValid;
    },
    score: 0.3,
    written: /^\d{6}(?:\d{2})?[+-]\d{4}$/,
    context: /\b(?:personnummer|person ?nr|personal identity number)\b/i,
  },
  {
    type: 'fi_hetu',
    body: '\\d(?: ?\\d){5} ?[-+a-fu-y] ?\\d(?: ?\\d){2} ?[\\da-y]',
    check: (text) => valid(hetu, text.replaceAll(' ', '')),
    score: 0.75,
    context: /\b(?:hetu|henkilotunnus|personbeteckning)\b/i,
  },
  {
    type: 'pl_pesel',
    body: spaced(11),
    check: by(pesel),
    score: 0.35,
    context: /\bpesel\b/i,
  },
  {
    type: 'pt_nif',
    body: spaced(9),
    check: by(nif),
    score: 0.2,
    context: /\b(?:nif|contribuinte|numero fiscal)\b/i,
  },
  {
    type: 'br_cpf',
    body: '\\d(?:[ .-]?\\d){10}',
    check: by(cpf),
    score: 0.4,
    written: /^\d{3}\.\d{3}\.\d{3}-\d{2}$/,
    context: /\bcpf\b/i,
  },
  {
    type: 'br_cnpj',
    body: '\\d(?:[ .\\-/]?\\d){13}',
    check: by(cnpj),
    score: 0.5,
    written: /^\d{2}\.\d{3}\.\d{3}\/\d{4}-\d{2}$/,
    context: /\bcnpj\b/i,
  },
  {
    type: 'in_aadhaar',
    body: spaced(12),
    check: by(aadhaar),
    score: 0.3,
    written: grouped(4, 4, 4),
    context: /\b(?:aadhaar|aadhar|uidai|uid)\b/i,
  },
  {
    type: 'cn_resident_id',
    body: '\\d(?:[ -]?\\d){16}[ -]?[\\dx]',
    check: by(ric),
    score: 0.85,
    context: /身份证|\b(?:resident id|shenfenzheng|id card)\b/i,
  },
  {
    type: 'ca_sin',
    body: spaced(9),
    check: by(sin),
    score: 0.15,
    written: grouped(3, 3, 3),
    context: /\b(?:sin|social insurance|nas|assurance sociale)\b/i,
  },
  {
    type: 'au_tfn',
    body: spaced(8, 9),
    check: by(tfn),
    score: 0.2,
    context: /\b(?:tfn|tax file)\b/i,
  },
];

export const nationalIds: readonly Detector[] = forms.map(({ type, body, ...rest }) => ({
  ...rest,
  type,
  group: 'national_id',
  hint: threeDigits,
  pattern: aloneNumber(body, 'i'),
  against: otherNumbers,
}));
