/** A tokenizer that is there already, to take instead of learning one. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Reads a tokenizer.json, or the one of a folder, with the tokenizer_config.json beside it.
 * @param needed the special tokens that the data set is written with
 * @returns `tokenizerConfig` undefined where there is none
 * @throws Error if there is no tokenizer, or it lacks one of `needed`
 */
export function readTokenizer(
  place: string,
  needed: readonly string[],
): { tokenizer: object; tokenizerConfig: object | undefined } {
  const path = existsSync(place) && statSync(place).isDirectory() ? join(place, 'tokenizer.json') : place;
  const config = join(dirname(path), 'tokenizer_config.json');
  const tokenizer = readJson(path) as { added_tokens?: { content: string }[]; model?: { vocab?: object } };
  const missing = needed.filter((token) => !tokenizer.added_tokens?.some(({ content }) => content === token));
  if (!tokenizer.model?.vocab || missing.length > 0) {
    throw new Error(`${path} cannot encode this data set: it lacks ${missing.join(', ') || 'a vocabulary'}.`);
  }
  const beside = basename(path) === 'tokenizer.json' && existsSync(config);
  return { tokenizer, tokenizerConfig: beside ? readJson(config) : undefined };
}

function readJson(path: string): object {
  if (!existsSync(path)) throw new Error(`There is no tokenizer at ${path}.`);
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (value && typeof value === 'object') return value;
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, { cause: error });
  }
  throw new Error(`${path} holds no JSON object.`);
}
