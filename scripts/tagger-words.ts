/**
 * `node scripts/node.js scripts/tagger-words.ts`: writes models/wick-tagger/words.json, the names, streets and cities
 * of many countries that @faker-js/faker carries, as lists that fill the slots of sentences.
 */
import { writeFileSync } from 'node:fs';
import { allLocales, type LocaleDefinition } from '@faker-js/faker';

/** A culture's lists are named after it; those of several locales are one. */
const cultures: Record<string, (keyof typeof allLocales)[]> = {
  en: ['en', 'en_GB', 'en_AU', 'en_CA', 'en_US'],
  in: ['en_IN', 'ne'],
  af: ['en_NG', 'en_GH', 'yo_NG', 'zu_ZA', 'en_ZA', 'af_ZA', 'fr_SN'],
  de: ['de', 'de_AT', 'de_CH'],
  fr: ['fr', 'fr_BE', 'fr_CH', 'fr_CA'],
  es: ['es', 'es_MX'],
  it: ['it'],
  pt: ['pt_BR', 'pt_PT'],
  nl: ['nl', 'nl_BE'],
  da: ['da', 'nb_NO', 'sv'],
  fi: ['fi'],
  pl: ['pl'],
  cs: ['cs_CZ', 'sk'],
  sr: ['hr', 'sl_SI', 'sr_RS_latin'],
  hu: ['hu'],
  ro: ['ro'],
  tr: ['tr'],
  id: ['id_ID'],
  vi: ['vi'],
};
/** So many words of a list are enough, but for those of the language that is read. */
const MOST = 1000;

type Entries = LocaleDefinition extends Record<string, infer T> ? T : never;
/** All words of an entry, whether it parts them by sex or not. */
function wordsOf(entry: Entries | unknown): string[] {
  if (typeof entry === 'string') return [entry];
  if (Array.isArray(entry)) return entry.flatMap(wordsOf);
  return typeof entry === 'object' && entry !== null ? Object.values(entry).flatMap(wordsOf) : [];
}

/** Names without what is no name: patterns, titles, brackets. */
const clean = (words: string[], most: number): string[] => {
  const kept = new Set(
    words.map((word) => word.trim()).filter((word) => /^[\p{Lu}][\p{L}\p{M}'’. -]{1,30}$/u.test(word)),
  );
  const all = [...kept].sort();
  const every = Math.max(1, all.length / most);
  return Array.from({ length: Math.min(all.length, most) }, (_, i) => all[Math.floor(i * every)]);
};

const lists: Record<string, string[]> = {};
for (const [culture, locales] of Object.entries(cultures)) {
  const gathered: Record<string, string[]> = { first: [], last: [], street: [], city: [] };
  for (const locale of locales) {
    const { person, location } = allLocales[locale] as LocaleDefinition;
    gathered.first.push(...wordsOf(person?.first_name));
    gathered.last.push(...wordsOf(person?.last_name));
    gathered.street.push(...wordsOf(location?.street_name));
    gathered.city.push(...wordsOf(location?.city_name));
  }
  for (const [kind, words] of Object.entries(gathered)) {
    const kept = clean(words, culture === 'en' ? Number.POSITIVE_INFINITY : MOST);
    if (kept.length > 0) lists[`${kind}_${culture}`] = kept;
  }
}
const { en } = allLocales;
lists.job_area = wordsOf(en.person?.job_area);
lists.job_type = wordsOf(en.person?.job_type);
lists.product = wordsOf(en.commerce?.product_name?.product);
lists.department = wordsOf(en.commerce?.department);
lists.state = wordsOf(en.location?.state);
lists.country = wordsOf(en.location?.country);
lists.street_suffix = wordsOf(en.location?.street_suffix);
lists.song = wordsOf(en.music?.song_name);
lists.book = wordsOf(en.book?.title);
lists.vehicle = wordsOf(en.vehicle?.manufacturer);
const lines = Object.entries(lists)
  .filter(([, words]) => words.length > 0)
  .map(([name, words]) => `${JSON.stringify(name)}: ${JSON.stringify(words)}`);
writeFileSync(new URL('../models/wick-tagger/words.json', import.meta.url), `{\n${lines.join(',\n')}\n}\n`);
