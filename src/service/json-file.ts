/** Files of JSON that a model folder has. */
import { readFileSync } from 'node:fs';

/** @throws Error naming the file that is missing or holds no JSON object */
export function readJsonFile(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new Error(`The model folder lacks ${path}.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path} has to be a JSON object.`);
  return value;
}
