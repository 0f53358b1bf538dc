/** Values of every type, from a seed: real ones by their issuers' rules, and near misses where there is a check. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bech32, createBase58check } from '@scure/base';
import { isCard, isIban } from '../../src/filtering/detectors/financial.ts';
import { nationalIds } from '../../src/filtering/detectors/national-ids.ts';

/** Random numbers from a seed (mulberry32). */
export function createRandom(seed: number) {
  const next = (): number => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  const pick = <T>(from: ArrayLike<T>): T => from[below(from.length)];
  const many = (count: number, from: string) => Array.from({ length: count }, () => pick(from)).join('');
  const two = (from: number, to: number) => String(from + below(to - from + 1)).padStart(2, '0');
  return { below, pick, many, two };
}
export type Random = ReturnType<typeof createRandom>;

const digits = '0123456789';
const upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const lower = 'abcdefghijklmnopqrstuvwxyz';
const hex = '0123456789abcdef';
const word = digits + upper + lower;
const base64url = `${word}-_`;

export interface Sample {
  type: string;
  /** How people call it. */
  label: string;
  make(random: Random): string;
  /** Whether a value with one character changed is none. */
  checked: boolean;
}

const validOf = (type: string) => {
  const { check } = nationalIds.find((detector) => detector.type === type)!;
  return (value: string) => check!(value) === true;
};

/** Tries forms until one passes: most numbers have a check digit that fits one time in ten or in a hundred. */
const until =
  (valid: (value: string) => boolean, form: (random: Random) => string) =>
  (random: Random): string => {
    for (let tries = 0; tries < 200_000; tries++) {
      const value = form(random);
      if (valid(value)) return value;
    }
    throw new Error('No value of this form passes.');
  };

const id = (type: string, label: string, form: (random: Random) => string, checked = true): Sample => ({
  type,
  label,
  make: until(validOf(type), form),
  checked,
});

const secret = (type: string, label: string, make: (random: Random) => string): Sample => ({
  type,
  label,
  make,
  checked: false,
});

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

export const samples: readonly Sample[] = [
  {
    type: 'card',
    label: 'credit card',
    checked: true,
    make: until(isCard, ({ pick, many }) =>
      pick([
        `4${many(3, digits)} ${many(4, digits)} ${many(4, digits)} ${many(4, digits)}`,
        `5${pick('12345')}${many(14, digits)}`,
        `37${many(2, digits)}-${many(6, digits)}-${many(5, digits)}`,
        `6011${many(12, digits)}`,
      ]),
    ),
  },
  {
    type: 'iban',
    label: 'IBAN',
    checked: true,
    make: until(isIban, ({ pick, many }) =>
      pick([
        `DE${many(2, digits)} ${many(4, digits)} ${many(4, digits)} ${many(4, digits)} ${many(4, digits)} ${many(2, digits)}`,
        `NL${many(2, digits)}ABNA${many(10, digits)}`,
        `GB${many(2, digits)} NWBK ${many(4, digits)} ${many(4, digits)} ${many(4, digits)} ${many(2, digits)}`,
      ]),
    ),
  },
  {
    type: 'bitcoin_address',
    label: 'Bitcoin address',
    checked: true,
    make: ({ below }) => {
      const hash = Uint8Array.from({ length: 20 }, () => below(256));
      return below(2)
        ? createBase58check(sha256).encode(Uint8Array.from([below(2) * 5, ...hash]))
        : bech32.encode('bc', [0, ...bech32.toWords(hash)]);
    },
  },
  {
    type: 'ethereum_address',
    label: 'Ethereum wallet',
    checked: false,
    make: ({ many }) => `0x${many(40, hex)}`,
  },
  id(
    'us_ssn',
    'social security number',
    ({ many }) => `${many(3, digits)}-${many(2, digits)}-${many(4, digits)}`,
    false,
  ),
  id(
    'uk_nino',
    'national insurance number',
    ({ many, pick }) =>
      `${many(2, upper)} ${many(2, digits)} ${many(2, digits)} ${many(2, digits)} ${pick('ABCD')}`,
    false,
  ),
  id('uk_nhs', 'NHS number', ({ many }) => `${many(3, digits)} ${many(3, digits)} ${many(4, digits)}`),
  id('de_steuer_id', 'Steuer-ID', ({ many, pick }) =>
    pick([`${many(2, digits)} ${many(3, digits)} ${many(3, digits)} ${many(3, digits)}`, many(11, digits)]),
  ),
  id(
    'fr_nir',
    'numéro de sécurité sociale',
    ({ many, pick, two }) =>
      `${pick('12')} ${many(2, digits)} ${two(1, 12)} ${two(1, 95)} ${many(3, digits)} ${many(3, digits)} ${two(1, 97)}`,
  ),
  id(
    'it_codice_fiscale',
    'codice fiscale',
    ({ many, pick, two }) =>
      `${many(6, 'BCDFGLMNPRST')}${many(2, digits)}${pick('ABCDEHLMPRST')}${two(1, 28)}${pick('FH')}${many(3, digits)}${pick(upper)}`,
  ),
  id('es_dni', 'DNI', ({ many, pick }) => `${many(8, digits)}${pick(['', '-'])}${pick(upper)}`),
  id('es_nie', 'NIE', ({ many, pick }) => `${pick('XYZ')}${many(7, digits)}${pick(upper)}`),
  id('nl_bsn', 'BSN', ({ many }) => many(9, digits)),
  id(
    'be_national_number',
    'rijksregisternummer',
    ({ two, many }) => `${two(40, 99)}.${two(1, 12)}.${two(1, 28)}-${many(3, digits)}.${many(2, digits)}`,
  ),
  id(
    'se_personnummer',
    'personnummer',
    ({ two, many }) => `${two(40, 99)}${two(1, 12)}${two(1, 28)}-${many(4, digits)}`,
  ),
  id(
    'fi_hetu',
    'henkilötunnus',
    ({ two, many, pick }) =>
      `${two(1, 28)}${two(1, 12)}${two(40, 99)}-${many(3, digits)}${pick(digits + upper)}`,
  ),
  id('pl_pesel', 'PESEL', ({ two, many }) => `${two(40, 99)}${two(1, 12)}${two(1, 28)}${many(5, digits)}`),
  id('pt_nif', 'NIF do contribuinte', ({ many }) => `2${many(8, digits)}`),
  id('br_cpf', 'CPF', ({ many, pick }) =>
    pick([`${many(3, digits)}.${many(3, digits)}.${many(3, digits)}-${many(2, digits)}`, many(11, digits)]),
  ),
  id(
    'br_cnpj',
    'CNPJ',
    ({ many }) => `${many(2, digits)}.${many(3, digits)}.${many(3, digits)}/0001-${many(2, digits)}`,
  ),
  id('in_aadhaar', 'Aadhaar', ({ many }) => `${many(4, digits)} ${many(4, digits)} ${many(4, digits)}`),
  id(
    'cn_resident_id',
    '身份证号',
    ({ two, many, pick }) =>
      `${pick(['110101', '310101', '440106'])}19${two(40, 99)}${two(1, 12)}${two(1, 28)}${many(3, digits)}${pick(`${digits}X`)}`,
  ),
  id(
    'ca_sin',
    'social insurance number',
    ({ many }) => `${many(3, digits)} ${many(3, digits)} ${many(3, digits)}`,
  ),
  id('au_tfn', 'tax file number', ({ many, pick }) =>
    pick([`${many(3, digits)} ${many(3, digits)} ${many(3, digits)}`, many(9, digits)]),
  ),
  {
    type: 'email',
    label: 'mail',
    checked: false,
    make: ({ many, pick }) =>
      `${many(5, lower)}.${many(4, lower)}@${many(7, lower)}.${pick(['com', 'co.uk', 'de', 'org'])}`,
  },
  {
    type: 'phone',
    label: 'phone',
    checked: false,
    make: ({ many, pick }) =>
      pick([
        `+49 30 ${many(6, '123456789')}`,
        `(${pick(['415', '212', '713'])}) 555-${many(4, '23456789')}`,
        `+44 20 7946 0${many(3, digits)}`,
        `+33 6 12 34 ${many(2, digits)} ${many(2, digits)}`,
      ]),
  },
  {
    type: 'ip_address',
    label: 'IP address',
    checked: false,
    make: ({ two }) => `${two(11, 99)}.${two(10, 99)}.${two(10, 99)}.${two(10, 99)}`,
  },
  {
    type: 'mac_address',
    label: 'MAC address',
    checked: false,
    make: ({ many }) => Array.from({ length: 6 }, () => many(2, hex)).join(':'),
  },
  secret(
    'url_credentials',
    'database',
    ({ many }) => `postgres://${many(6, lower)}:${many(10, word)}@db.${many(5, lower)}.com`,
  ),
  {
    type: 'passport',
    label: 'passport number',
    checked: false,
    make: ({ many, pick }) => `${pick('CFGHJK')}${many(8, digits)}`,
  },
  {
    type: 'date_of_birth',
    label: 'date of birth',
    checked: false,
    make: ({ two, pick }) =>
      pick([
        `${two(1, 28)}/${two(1, 12)}/19${two(40, 99)}`,
        `19${two(40, 99)}-${two(1, 12)}-${two(1, 28)}`,
        `March ${two(10, 28)}, 19${two(40, 99)}`,
      ]),
  },
  secret('aws_access_key', 'AWS key', ({ many }) => `AKIA${many(16, `${upper}234567`)}`),
  secret('aws_secret_key', 'aws_secret_access_key', ({ many }) => `aB3${many(37, `${word}/+`)}`),
  secret('gcp_api_key', 'Google key', ({ many }) => `AIza${many(35, base64url)}`),
  secret('gcp_oauth_secret', 'client secret', ({ many }) => `GOCSPX-${many(27, base64url)}a`),
  secret('gcp_access_token', 'token', ({ many }) => `ya29.${many(60, word)}`),
  secret('azure_client_secret', 'client secret', ({ many }) => `${many(3, word)}8Q~${many(34, word)}`),
  secret('azure_storage_key', 'connection', ({ many }) => `AccountKey=${many(86, word)}==`),
  secret('github_token', 'GitHub token', ({ many, pick }) => `gh${pick('pousr')}_${many(36, word)}`),
  secret('gitlab_token', 'GitLab token', ({ many }) => `glpat-${many(20, word)}`),
  secret(
    'slack_token',
    'Slack token',
    ({ many }) => `xoxb-${many(12, digits)}-${many(12, digits)}-${many(24, word)}`,
  ),
  secret(
    'slack_webhook',
    'hook',
    ({ many }) => `https://hooks.slack.com/services/T${many(8, upper)}/B${many(8, upper)}/${many(24, word)}`,
  ),
  secret('stripe_key', 'Stripe key', ({ many, pick }) => `sk_${pick(['live', 'test'])}_${many(24, word)}`),
  secret('model_api_key', 'API key', ({ many }) => `sk-proj-aB3${many(45, word)}`),
  secret('npm_token', 'npm token', ({ many }) => `npm_${many(36, word)}`),
  secret('hugging_face_token', 'token', ({ many }) => `hf_${many(34, word)}`),
  secret('sendgrid_key', 'SendGrid key', ({ many }) => `SG.${many(22, word)}.${many(43, word)}`),
  secret(
    'jwt',
    'bearer',
    ({ many }) =>
      `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: many(8, digits) })}.${many(43, base64url)}`,
  ),
  secret(
    'private_key',
    'key',
    ({ many }) =>
      `-----BEGIN RSA PRIVATE KEY-----\n${many(64, word)}\n${many(64, word)}\n-----END RSA PRIVATE KEY-----`,
  ),
];
