/** Prompts of images judged in the service, whatever was judged before: by a policy, with the classifier that ships. */
import { fileURLToPath } from 'node:url';
import { Failure } from '../api/errors.ts';
import { defaultPolicy, proveSafety } from '../filtering/load-policy.ts';
import type { Policy } from '../filtering/policy.ts';
import { checkSafety, type Judge, mayRefuse } from '../filtering/safety.ts';
import { loadClassifierFolder } from './classifier-folder.ts';

const guard = fileURLToPath(new URL('../../models/wick-guard', import.meta.url));
const input = { direction: 'input' } as const;

export interface PromptCheck {
  /** Loads the classifier, and makes sure that the policy does what its examples say. @throws Error if not */
  ready(): Promise<void>;
  /** @throws Failure 400 for a text that the policy refuses, or that could not be judged */
  check(texts: Readonly<Record<string, string | undefined>>): Promise<void>;
}

/** @param policy the default where there is none */
export function createPromptCheck(policy: Policy = defaultPolicy()): PromptCheck {
  let loading: Promise<Judge> | undefined;
  const judge = (): Promise<Judge> => {
    loading ??= loadClassifierFolder(guard, { threads: 1 });
    return loading;
  };
  return {
    async ready() {
      await proveSafety(policy, await judge());
    },
    async check(texts) {
      if (!mayRefuse(policy.safety, input)) return;
      for (const [param, text = ''] of Object.entries(texts)) {
        const { refused } = await checkSafety(text, policy.safety, input, judge());
        if (!refused) continue;
        const why = refused.category
          ? `\`${param}\` is what the policy refuses: ${refused.category}.`
          : `\`${param}\` could not be judged, so it is refused.`;
        throw new Failure('content_policy_violation', why, { param });
      }
    },
  };
}
