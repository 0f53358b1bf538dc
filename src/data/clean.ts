/** One raw record to one clean document, or the reason why it is dropped: a table of rules. */
import { isRefusal, removeModelNotes, removeSpecialTokens } from './boilerplate.ts';
import { isLanguage } from './language.ts';
import { type Measures, measure } from './measures.ts';
import { replacePersonalData } from './personal-data.ts';
import { brokenLimit, type Kind } from './quality.ts';
import type { RawRecord } from './text-records.ts';
import { composeUnicode, normalizeSpace, removeUnseen, repairMojibake, unreadableShare } from './unicode.ts';

export interface CleanOptions {
  /** ISO 639-1 code of the language to keep, or 'any'. */
  language: string;
  kind: Kind;
}

export type Cleaned =
  | {
      kept: true;
      instruction?: string;
      text: string;
      /** Names of the repairs that changed it. */
      repairs: string[];
      /** How many pieces of personal data of each kind were replaced. */
      personal: Record<string, number>;
      measures: Measures;
    }
  | { kept: false; reason: string; text: string };

/** A rule that changes a text and keeps it. */
export interface Repair {
  name: string;
  why: string;
  apply(text: string): string;
  /** Not done to code, where notes are comments and two spaces mean something. */
  proseOnly?: boolean;
}

/** In the order they are applied. */
export const repairs: readonly Repair[] = [
  { name: 'mojibake', why: 'UTF-8 that was read as Windows-1252 is read again.', apply: repairMojibake },
  {
    name: 'control characters',
    why: 'Control, direction and zero-width characters carry no text.',
    apply: removeUnseen,
  },
  {
    name: 'Unicode form',
    why: 'One spelling for each character (NFC, Unicode Annex 15); halves of characters are none.',
    apply: composeUnicode,
  },
  {
    name: 'special tokens',
    why: 'Inside a text they would begin or end it for the model.',
    apply: removeSpecialTokens,
  },
  {
    name: 'white space',
    why: 'Line ends of one kind; no space at their ends, no runs of empty lines.',
    apply: normalizeSpace,
  },
  {
    name: 'model notes',
    why: 'What a writing model says before and after its answer is no part of it.',
    apply: removeModelNotes,
    proseOnly: true,
  },
];

interface Draft {
  text: string;
  answer: boolean;
  measures: Measures;
  options: CleanOptions;
}

/** A rule that drops a text; `test` gives the reason, more closely where it can, or undefined. */
export interface Filter {
  name: string;
  why: string;
  test(draft: Draft): string | undefined;
}

/** More than this share of characters unreadable, and the text is not worth repairing. */
const UNREADABLE = 0.002;

/** In the order they are asked; the first that gives a reason decides. */
export const filters: readonly Filter[] = [
  {
    name: 'empty',
    why: 'Nothing is left after the repairs.',
    test: ({ text }) => (text === '' ? 'empty' : undefined),
  },
  {
    name: 'unreadable',
    why: `More than ${UNREADABLE * 100}% of its characters could not be decoded.`,
    test: ({ text }) => (unreadableShare(text) > UNREADABLE ? 'unreadable' : undefined),
  },
  {
    name: 'refusal',
    why: 'An answer in which the writing model declines teaches to decline.',
    test: ({ text }) => (isRefusal(text) ? 'refusal' : undefined),
  },
  {
    name: 'quality',
    why: 'One of the limits of quality.ts.',
    test: ({ measures, answer, options }) =>
      brokenLimit(measures, { kind: options.kind, answer, english: options.language === 'en' })?.name,
  },
  {
    name: 'language',
    why: 'Another language than the one wanted.',
    test: ({ text, measures, options: { language, kind } }) =>
      language === 'any' || kind === 'code' || isLanguage(text, language, measures.lowerWords)
        ? undefined
        : 'other language',
  },
];

/** All repairs, again until nothing changes: what one takes away may uncover what another repairs. */
export function repair(text: string, kind: Kind = 'prose'): { text: string; changed: string[] } {
  const changed = new Set<string>();
  for (let round = 0, before = ''; before !== text && round < 10; round++) {
    before = text;
    for (const { name, apply, proseOnly } of repairs) {
      if (proseOnly && kind === 'code') continue;
      const next = apply(text);
      if (next !== text) changed.add(name);
      text = next;
    }
  }
  return { text, changed: [...changed] };
}

/** Repairs a record, judges it, and replaces personal data in it. */
export function clean(record: RawRecord, options: CleanOptions): Cleaned {
  const { text: repaired, changed } = repair(record.text, options.kind);
  const draft: Draft = {
    text: repaired,
    answer: record.instruction !== undefined,
    measures: measure(repaired),
    options,
  };
  for (const { test } of filters) {
    const reason = test(draft);
    if (reason) return { kept: false, reason, text: repaired };
  }
  const personal: Record<string, number> = {};
  const finish = (text: string) => replacePersonalData(text.replaceAll('\ufffd', ''), personal);
  const instruction = record.instruction === undefined ? '' : finish(repair(record.instruction, 'code').text);
  return {
    kept: true,
    instruction: instruction || undefined,
    text: finish(repaired),
    repairs: changed,
    personal,
    measures: draft.measures,
  };
}
