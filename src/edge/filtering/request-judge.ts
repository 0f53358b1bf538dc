/** What texts of a request mean, judged by the site's policy before anything is made of them. */
import type { Classifier } from '../../filtering/classify.ts';
import type { FilterPiece } from '../../filtering/filter-stream.ts';
import { findInjections } from '../../filtering/injection.ts';
import type { TextFilter } from '../../filtering/json-filter.ts';
import { PolicyError, proveSafety } from '../../filtering/load-policy.ts';
import type { Policy } from '../../filtering/policy.ts';
import {
  checkSafety,
  isBrief,
  mayRefuse,
  type Role,
  roles,
  type SafetyVerdict,
} from '../../filtering/safety.ts';
import { createSafetyStream, type SafetyPiece } from '../../filtering/safety-stream.ts';
import { guard } from '../guard.ts';
import { brokenPolicy } from './site-policy.ts';

const proven = new WeakMap<Policy, Promise<Classifier>>();

/**
 * The classifier, once the policy does with it what its examples say.
 * @throws Failure 500 if it does not
 */
export function judgeFor(policy: Policy): Promise<Classifier> {
  let judge = proven.get(policy);
  if (!judge) {
    judge = prove(policy);
    // One that could not be loaded is tried again; a policy that is broken stays so.
    judge.catch((thrown) => !(thrown instanceof PolicyError) && proven.delete(policy));
    proven.set(policy, judge);
  }
  return judge.catch((thrown) => {
    throw thrown instanceof PolicyError ? brokenPolicy(thrown) : thrown;
  });
}

async function prove(policy: Policy): Promise<Classifier> {
  const judge = await guard();
  await proveSafety(policy, judge);
  return judge;
}

/** Whether anything could be refused for what it means, by whoever it is said. */
export const mayRefuseInput = ({ safety }: Policy, key: string | undefined): boolean =>
  roles.some((role) => mayRefuse(safety, { direction: 'input', role, key }));
export const mayRefuseOutput = ({ safety }: Policy, key: string | undefined): boolean =>
  mayRefuse(safety, { direction: 'output', key });

/** What becomes of a system prompt that is repeated. */
export const leakAction = ({ safety }: Policy) => safety?.system_prompt ?? 'allow';

/**
 * What a policy makes of a text that comes in, see `checkSafety`; undefined where it could refuse nothing: most texts of
 * a request are a word or two.
 */
export async function judgeSaid(
  policy: Policy,
  key: string | undefined,
  text: string,
  role: Role,
): Promise<SafetyVerdict | undefined> {
  const scope = { direction: 'input', role, key } as const;
  if (!mayRefuse(policy.safety, scope)) return undefined;
  const judge = await judgeFor(policy);
  if (isBrief(text) && findInjections(text).length === 0) return undefined;
  return checkSafety(text, policy.safety, scope, judge);
}

/** An answer judged sentence by sentence, as a filter. */
export function judgedAnswer(policy: Policy, key: string | undefined): TextFilter {
  const safety = judgeFor(policy).then((judge) =>
    createSafetyStream(policy.safety!, { direction: 'output', key }, judge),
  );
  safety.catch(() => {});
  const piece = ({ text, refused }: SafetyPiece): FilterPiece => ({
    ...{ text, spans: [] },
    ...(refused && { refused: { type: refused.category, message: refused.message } }),
  });
  return {
    push: async (text) => piece(await (await safety).push(text)),
    end: async () => piece(await (await safety).end()),
  };
}

/** A filter before another. What the first writes has as many units as what it stands for. */
export function before(first: TextFilter, second: TextFilter): TextFilter {
  let over = false;
  async function step(text: string, last: boolean): Promise<FilterPiece> {
    if (over) return { text: '', spans: [] };
    const given = [await first.push(text)];
    if (last && !given[0].refused) given.push(await first.end());
    const { refused } = given.at(-1)!;
    over = last || refused !== undefined;
    const made = [await second.push(given.map((piece) => piece.text).join(''))];
    if (over && !made[0].refused) made.push(await second.end());
    const why = made.at(-1)!.refused ?? refused;
    return {
      text: made.map((piece) => piece.text).join(''),
      spans: [...given, ...made].flatMap(({ spans }) => spans),
      ...(why && { refused: why }),
    };
  }
  return { push: (text) => step(text, false), end: () => step('', true) };
}
