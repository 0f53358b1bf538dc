/** What is done about what a text means: rules that a site owner writes, and what a judge says of the text. */
import { z } from 'zod';
import type { Classifier, Judgement } from './classify.ts';
import { findInjections, type InjectionFinding } from './injection.ts';
import { findPhrases, type LexiconFinding } from './lexicon.ts';

/** OpenAI's categories, and two of ours. */
export const categories = [
  ...(['harassment', 'harassment/threatening', 'hate', 'hate/threatening'] as const),
  ...(['illicit', 'illicit/violent', 'self-harm', 'self-harm/instructions', 'self-harm/intent'] as const),
  ...(['sexual', 'sexual/minors', 'violence', 'violence/graphic', 'offensive', 'injection'] as const),
];
export type Category = (typeof categories)[number];

/** From the mildest to the strictest: nothing is said of it; it is told; the text goes no further. */
export const safetyActions = ['allow', 'flag', 'refuse'] as const;
export type SafetyAction = (typeof safetyActions)[number];

/** Whose words they are: a tool's are what it has read anywhere. */
export const roles = ['system', 'user', 'assistant', 'tool'] as const;
export type Role = (typeof roles)[number];

const direction = z.enum(['input', 'output']);
const names = [...categories, '*'] as const;
const unknown = ({ input }: { input?: unknown }) =>
  `${JSON.stringify(input)} is no category. There is: ${names.join(', ')}`;
const category = z.enum(categories, { error: unknown });

const ruleSchema = z.strictObject({
  /** Categories, or `*` for all. */
  categories: z.array(z.enum(names, { error: unknown })).min(1),
  action: z.enum(safetyActions),
  /** The least probability at which it is done; else the classifier's own threshold. */
  threshold: z.number().min(0).max(1).optional(),
  /** Both, if it names none. */
  directions: z.array(direction).min(1).optional(),
  /** Whose words; anybody's, if it names none. */
  roles: z.array(z.enum(roles)).min(1).optional(),
  /** The callers whose keys these are; all, if it names none. */
  keys: z.array(z.string().min(1)).min(1).optional(),
});

const exampleSchema = z.strictObject({
  text: z.string(),
  direction,
  role: z.enum(roles).optional(),
  key: z.string().optional(),
  /** The category for which it has to be refused; for none may it be, if it names none. */
  refused: category.optional(),
  /** Categories that have to be told of it. */
  flagged: z.array(category).optional(),
});

/**
 * The part `safety` of a policy. Of the rules for a category, direction, role and key the first decides whose threshold
 * is reached. Where no rule tells or allows a category, what flags by the classifier's own thresholds is told.
 */
export const safetySchema = z.strictObject({
  rules: z.array(ruleSchema).min(1),
  /** What becomes of an answer that repeats its system prompt, twelve words or more in a row; nothing by default. */
  system_prompt: z.enum(['allow', 'mask', 'refuse']).default('allow'),
  /** How long judging 100,000 units of text may take, or a shorter text, in milliseconds; longer, and it is refused. */
  time_limit_ms: z.number().int().min(1).max(60_000).default(5000),
  /** Tested where the policy is loaded together with a judge. */
  examples: z.array(exampleSchema).min(1),
});
export type SafetyPolicy = Readonly<z.infer<typeof safetySchema>>;

export interface SafetyScope {
  direction: z.infer<typeof direction>;
  /** The user's in, the assistant's out, where nothing is said. */
  role?: Role;
  key?: string;
}

/** What a classifier, the lexicon and the rules on injections say of a text. */
export interface JudgedText extends Judgement {
  /** What speaks for a category, by plain words. */
  phrases: LexiconFinding[];
  /** What speaks for an injection, by rules. */
  injections: InjectionFinding[];
  /** Whether it has too few words to be sure by: nothing is refused for what a classifier makes of them. */
  brief: boolean;
}

/** Four words: of fewer, a classifier of words may make anything that it has never met. */
const enough = /(?:[\p{L}\p{N}]+[^\p{L}\p{N}]+){3}[\p{L}\p{N}]/u;
export const isBrief = (text: string): boolean => text.length < 200 && !enough.test(text);

export type Judge = Pick<Classifier, 'judge' | 'thresholds'>;

/** Judges a text by a classifier, by the lexicon and by the rules on injections; of each category the surest counts. */
export async function judgeText(
  { judge, thresholds }: Judge,
  text: string,
  signal?: AbortSignal,
): Promise<JudgedText> {
  const judged = await judge(text, signal);
  const injections = findInjections(text);
  const phrases = findPhrases(text);
  const scores = { ...judged.scores };
  scores.injection = Math.max(scores.injection ?? 0, injections[0]?.score ?? 0);
  for (const { categories, score } of phrases)
    for (const category of categories)
      if (Object.hasOwn(scores, category)) scores[category] = Math.max(scores[category], score);
  const found = Object.fromEntries(
    Object.entries(scores).map(([name, score]) => [name, score >= (thresholds[name]?.threshold ?? 0.5)]),
  );
  return {
    flagged: Object.entries(found).some(([name, there]) => there && thresholds[name]?.flags),
    categories: found,
    scores,
    phrases,
    injections,
    brief: isBrief(text),
  };
}

export interface SafetyVerdict extends JudgedText {
  /** What is told of it, by what the policy says. */
  told: Category[];
  /** Why it goes no further; without a category where it could not be judged. */
  refused?: { category?: Category; message: string };
}

/** Whether a policy could refuse anything in a scope: where not, nobody need judge. */
export const mayRefuse = (policy: SafetyPolicy | undefined, scope: SafetyScope): boolean =>
  rulesFor(policy, scope).some(({ action }) => action === 'refuse');

/**
 * What a policy makes of a text. A judge that fails or takes too long is no leave to go on: the text is refused, and
 * the reason says that it could not be judged.
 * @param policy without one, what flags by the classifier's thresholds is told
 * @throws the signal's reason if it aborts first
 */
export async function checkSafety(
  text: string,
  policy: SafetyPolicy | undefined,
  scope: SafetyScope,
  judge: Judge | Promise<Judge>,
  signal?: AbortSignal,
): Promise<SafetyVerdict> {
  const late = new AbortController();
  const limit = (policy?.time_limit_ms ?? 5000) * Math.max(1, text.length / 100_000);
  const timer = setTimeout(() => late.abort(new Error('time limit')), limit);
  const either = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  const stopped = new Promise<never>((_, reject) => {
    either.addEventListener('abort', () => reject(either.reason as Error), { once: true });
  });
  stopped.catch(() => {});
  const judged = async () => {
    const ready = await judge;
    return decideSafety(await judgeText(ready, text, either), policy, scope, ready);
  };
  try {
    signal?.throwIfAborted();
    return await Promise.race([judged(), stopped]);
  } catch {
    signal?.throwIfAborted();
    // What was judged may be in the error.
    const message = 'A check of what the text means could not be made, so it is refused.';
    return {
      flagged: true,
      categories: {},
      scores: {},
      phrases: [],
      injections: [],
      brief: false,
      told: [],
      refused: { message },
    };
  } finally {
    clearTimeout(timer);
  }
}

function rulesFor(policy: SafetyPolicy | undefined, { direction, role, key }: SafetyScope) {
  const whose = role ?? (direction === 'input' ? 'user' : 'assistant');
  return (policy?.rules ?? []).filter(
    ({ directions, roles, keys }) =>
      (directions?.includes(direction) ?? true) &&
      (roles?.includes(whose) ?? true) &&
      (keys === undefined || (key !== undefined && keys.includes(key))),
  );
}

/** What a policy makes of a text that is judged; see `safetySchema`. */
export function decideSafety(
  judged: JudgedText,
  policy: SafetyPolicy | undefined,
  scope: SafetyScope,
  { thresholds }: Judge,
): SafetyVerdict {
  const rules = rulesFor(policy, scope);
  const found: Record<string, boolean> = {};
  const told: Category[] = [];
  let refused: SafetyVerdict['refused'];
  for (const category of categories) {
    const score = judged.scores[category] ?? 0;
    const usual = thresholds[category]?.threshold ?? 1;
    const about = rules.filter(({ categories }) =>
      categories.some((name) => name === '*' || name === category),
    );
    const rule = about.find(({ threshold = usual }) => score >= threshold);
    const byClassifier = about.every(({ action }) => action === 'refuse') && score >= usual;
    found[category] = rule !== undefined || byClassifier;
    const flags = byClassifier && thresholds[category]?.flags;
    const action = rule?.action ?? (flags ? 'flag' : 'allow');
    if (action === 'allow') continue;
    told.push(category);
    const byRule = category === 'injection' && judged.injections[0]?.score === score;
    if (action === 'refuse' && (!judged.brief || byRule))
      refused ??= { category, message: `The ${scope.direction} is what the policy refuses: ${category}.` };
  }
  return { ...judged, categories: found, flagged: told.length > 0, told, ...(refused && { refused }) };
}
