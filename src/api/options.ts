/** Options that come as texts, in a query string or a form. */
import type { z } from 'zod';

/**
 * Options, each read as what the schema takes in its place: the text itself, a number, true or false, or a list of
 * all texts that stand under the name. Of one that is no list the last counts. What fits nowhere is left for the schema
 * to name, in the reading that comes nearest.
 */
export function readOptions(options: URLSearchParams, schema: z.ZodObject): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of new Set(options.keys())) {
    const texts = options.getAll(name);
    const field = Object.hasOwn(schema.shape, name) ? (schema.shape[name] as z.ZodType) : undefined;
    const readings = readingsOf(texts);
    values[name] = field ? (readings.find((each) => near(field, each)) ?? readings[0]) : readings[0];
  }
  return values;
}

function readingsOf(texts: string[]): unknown[] {
  const text = texts.at(-1)!;
  const readings: unknown[] = [text];
  if (text.trim() !== '' && Number.isFinite(Number(text))) readings.push(Number(text));
  if (text === 'true' || text === 'false') readings.push(text === 'true');
  return [...readings, texts];
}

/** Whether a value is of the type that is wanted, be it right or not. */
function near(field: z.ZodType, value: unknown): boolean {
  const { success, error } = field.safeParse(value);
  if (success) return true;
  const [{ code, path }] = error.issues;
  return (
    path.length > 0 || !(code === 'invalid_type' || code === 'invalid_union' || code === 'invalid_value')
  );
}
