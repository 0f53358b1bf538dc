/**
 * Texts that would be a model's instructions where they are only to be read (OWASP LLM01): what they say and how they
 * are made, by rules. They find what is written to be found by a model; a classifier finds what is said in other words.
 */
import { normalizedStretches } from './normalized-stretches.ts';

export interface InjectionFinding {
  /** What speaks for it, for people. */
  why: string;
  /** How sure, 0 to 1. */
  score: number;
}

interface Rule {
  why: string;
  score: number;
  /** Matched on the normalised copy of a text; each of its repetitions is bounded. */
  pattern: RegExp;
}

const words = (...list: string[]): string => `(?:${list.join('|')})`;
const told = words(
  'instructions?',
  'prompts?',
  'rules',
  'directions',
  'guidelines',
  'directives',
  'programming',
);
const earlier = words(
  'previous',
  'prior',
  'above',
  'earlier',
  'preceding',
  'foregoing',
  'original',
  'initial',
);
const own = words('system', 'hidden', 'secret', 'developer', 'initial', 'original');

export const injectionRules: readonly Rule[] = [
  {
    why: 'it asks to leave what was said before',
    score: 0.97,
    pattern: new RegExp(
      `\\b${words('ignore', 'disregard', 'forget', 'override', 'bypass', 'do not follow', "don't follow")}` +
        `\\s{1,4}(?:(?:all|any|every|of|the|your|my|these|those|and)\\s{1,4}){0,4}${earlier}` +
        `\\s{1,4}(?:(?:and|or|system|user|safety)\\s{1,4}){0,2}${told}\\b`,
      'i',
    ),
  },
  {
    why: 'it asks for the instructions of the system',
    score: 0.85,
    pattern: new RegExp(
      `\\b${words('reveal', 'print', 'repeat', 'output', 'show', 'display', 'leak', 'recite', 'tell')}` +
        `\\s{1,4}(?:(?:me|us|back|out|all|of|verbatim)\\s{1,4}){0,4}(?:the|your)\\s{1,4}(?:(?:full|entire|exact|whole)\\s{1,4}){0,2}` +
        `${own}\\s{1,4}${words('prompt', 'instructions', 'message')}\\b`,
      'i',
    ),
  },
  {
    why: 'it has the marks of a chat template',
    score: 0.97,
    pattern: new RegExp(
      [
        // ChatML (Qwen, SmolLM, Hermes), Llama 3, Phi, DeepSeek, Granite, Cohere, gpt-oss.
        '<\\|(?:im_(?:start|end|sep)|(?:start|end)_header_id|eot_id|eom_id|begin_of_text|end_of_text|endoftext)\\|>',
        '<\\|(?:system|[Uu]ser|[Aa]ssistant|end|tool_call|channel|message|start|return)\\|>',
        '<\\|(?:begin.of.sentence|end.of.sentence|tool.calls?.begin|start_of_role|end_of_role)\\|>',
        '<\\|(?:START|END)_OF_TURN_TOKEN\\|>',
        // Llama 2 and Mistral, Gemma.
        '\\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\\]|<</?SYS>>|<(?:start|end)_of_turn>',
      ].join('|'),
    ),
  },
  {
    why: 'it speaks as if it were the system',
    score: 0.85,
    pattern: new RegExp(
      `(?:^|\\n)[ \\t]{0,8}[#*>\\[<]{0,4}[ \\t]{0,4}${words('system', 'developer', 'admin(?:istrator)?')}` +
        `(?:[ _-]${words('message', 'prompt', 'override', 'note', 'instructions?', 'update')})?[\\]>*]{0,3}:[*\\s]{0,4}` +
        `${words('you', 'ignore', 'disregard', 'forget', 'from now on', 'new', 'do not', 'always', 'never', 'the assistant')}\\b`,
      'i',
    ),
  },
];

/** Tags that spell ASCII unseen (U+E0020 to U+E007E), and rows of variation selectors that spell bytes. */
const unseen = /(?:\u{1f3f4})?[\u{e0020}-\u{e007f}]{4,}|[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]{8,}/gu;
/** Flags of parts of countries are written with tags, and are seen. */
const flag = /^\u{1f3f4}[\u{e0061}-\u{e007a}]{2}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{1,4}\u{e007f}$/u;

/** An image whose address carries much: shown, it tells its server what it holds. */
const leakingImage =
  /!\[[^\]\n]{0,300}\]\(\s{0,4}<?https?:\/\/[^\s()<>?#]{1,500}[?#][^\s()<>]{0,500}=[^\s()<>&]{24,}/i;

/** What speaks for a text being an injection, the surest first; each rule once. In time linear in the text's length. */
export function findInjections(text: string): InjectionFinding[] {
  const found = new Map<string, number>();
  if ([...text.matchAll(unseen)].some(([run]) => !flag.test(run)))
    found.set('it has text that is not seen', 0.98);
  for (const copy of normalizedStretches(text)) {
    for (const { why, score, pattern } of injectionRules) if (pattern.test(copy)) found.set(why, score);
    if (leakingImage.test(copy)) found.set('it has an image whose address carries data away', 0.8);
  }
  return [...found].map(([why, score]) => ({ why, score })).sort((a, b) => b.score - a.score);
}
