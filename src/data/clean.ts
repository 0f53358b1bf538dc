/** One raw record to one clean document, or the reason why it is dropped. */
import { detectAll } from 'tinyld/light';
import { maskPersonalData } from './personal.ts';
import { firstFault, type Kind, statistics } from './quality.ts';
import { repair } from './repair.ts';
import type { RawRecord } from './text-records.ts';

export interface CleanOptions {
  /** ISO 639-1 code of the language to keep, or 'any'. */
  language: string;
  kind: Kind;
}

export type Cleaned =
  | { kept: true; instruction?: string; text: string; repairs: string[]; personal: Record<string, number>; words: number }
  | { kept: false; reason: string; text: string };

/** Answers in which a writing model declines; nothing is to be learnt from them. */
const refusal =
  /^["“]?(?:i(?:'m| am) sorry|i apologi[sz]e|i can(?:'|’)?(?:not|t)\b|i can not\b|i(?:'m| am) (?:not able|unable)|i won(?:'|’)t|unfortunately,? i|as an ai\b|sorry, (?:but )?i)[^\n]{0,200}/i;
const aboutRefusing = /\b(?:can(?:'|’)?(?:not|t)|unable|not able|won(?:'|’)t|not comfortable|as an ai)\b.{0,60}\b(?:create|provide|fulfil+|assist|help|write|generate|satisfy|complete|engage|content|request)/i;

/** Language is judged by this much of a text, in characters. */
const LANGUAGE_SAMPLE = 2000;

/** Repairs a record, masks personal data in it, and judges it. */
export function clean(record: RawRecord, { language, kind }: CleanOptions): Cleaned {
  const { text: repaired, changed } = repair(record.text);
  const dropped = (reason: string): Cleaned => ({ kept: false, reason, text: repaired });
  if (repaired === '') return dropped('empty');
  if (isRefusal(repaired)) return dropped('refusal');
  const measured = statistics(repaired);
  const fault = firstFault(measured, kind);
  if (fault) return dropped(fault.rule);
  if (language !== 'any' && kind !== 'code') {
    const found = languageOf(repaired);
    if (found && found !== language) return dropped(`language: ${found}`);
  }
  const masked = maskPersonalData(repaired);
  const instruction = record.instruction === undefined ? undefined : repair(record.instruction).text;
  const asked = instruction ? maskPersonalData(instruction) : undefined;
  const personal = { ...masked.found };
  for (const [name, count] of Object.entries(asked?.found ?? {})) personal[name] = (personal[name] ?? 0) + count;
  return {
    kept: true,
    instruction: asked?.text || undefined,
    text: masked.text,
    repairs: changed,
    personal,
    words: measured.words.length,
  };
}

function isRefusal(text: string): boolean {
  const opening = text.slice(0, 300);
  // A character in a story may say it is sorry: only short answers, or openings that say what is refused, count.
  return refusal.test(opening) && (aboutRefusing.test(opening) || text.length < 200);
}

/** The likeliest language of a text, or undefined where no guess is worth trusting. */
export function languageOf(text: string): string | undefined {
  const [first, second] = detectAll(text.slice(0, LANGUAGE_SAMPLE));
  if (!first || text.length < 100 || first.accuracy < 0.2 || (second && first.accuracy - second.accuracy < 0.1)) return undefined;
  return first.lang;
}
