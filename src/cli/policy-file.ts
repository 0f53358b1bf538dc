/** Policies in files. */
import { readFileSync } from 'node:fs';
import { loadPolicy } from '../filtering/load-policy.ts';
import type { Policy } from '../filtering/policy.ts';

/**
 * A policy that loads, and its text.
 * @throws Error with a sentence if there is no such file, or its policy is broken
 */
export function readPolicyFile(file: string): { text: string; policy: Policy } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`The policy cannot be read: ${(error as Error).message}.`, { cause: error });
  }
  return { text, policy: loadPolicy(text) };
}
