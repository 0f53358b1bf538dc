/** The policy of this site: what its owner has said in the environment, or the default. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { defaultPolicy, loadPolicy, PolicyError } from '../../filtering/load-policy.ts';
import type { Policy } from '../../filtering/policy.ts';
import type { Bindings } from '../context.ts';
import { Failure } from '../failure.ts';

export interface SitePolicy {
  policy: Policy;
  /** The key of its hashes. */
  secret: string | undefined;
}

type Environment = Pick<Bindings, 'WICK_POLICY' | 'WICK_SECRET'>;
let loaded: { of: Environment; site: SitePolicy } | undefined;

/**
 * The policy of an environment, loaded once an isolate.
 * @throws Failure 500 if it is broken: without it nothing is let through
 */
export function sitePolicy({ WICK_POLICY, WICK_SECRET }: Environment): SitePolicy {
  if (loaded && loaded.of.WICK_POLICY === WICK_POLICY && loaded.of.WICK_SECRET === WICK_SECRET)
    return loaded.site;
  try {
    const policy = WICK_POLICY === undefined ? defaultPolicy() : loadPolicy(WICK_POLICY);
    if (!WICK_SECRET && policy.rules.some(({ action }) => action === 'hash'))
      throw new PolicyError(`The policy "${policy.name}" hashes, and for that it needs WICK_SECRET.`);
    const site = { policy, secret: WICK_SECRET && hashKey(WICK_SECRET) };
    loaded = { of: { WICK_POLICY, WICK_SECRET }, site };
    return site;
  } catch (thrown) {
    throw brokenPolicy(thrown as Error);
  }
}

/** Tells the log what is wrong with the policy, and the caller that something is. */
export function brokenPolicy({ message }: Error): Failure {
  console.error(`WICK_POLICY: ${message}`);
  return new Failure(
    'policy_broken',
    'The policy of this site is broken, and without it nothing is let through. Its log says what is wrong.',
  );
}

/** Never the bytes of the secret themselves, with which the edge signs, too. */
const hashKey = (secret: string): string =>
  bytesToHex(hmac(sha256, utf8ToBytes(secret), utf8ToBytes('wick: hashes of a filter')));

/** The name that a policy has for whoever sends a key as `authorization: Bearer KEY`; none if it does not know the key. */
export function callerName(policy: Policy, authorization: string | undefined): string | undefined {
  const key = /^Bearer\s+(\S.*)$/i.exec(authorization ?? '')?.[1].trim();
  const callers = Object.entries(policy.callers);
  if (!key || callers.length === 0) return undefined;
  const hash = bytesToHex(sha256(utf8ToBytes(key)));
  return callers.find(([, each]) => each === hash)?.[0];
}
