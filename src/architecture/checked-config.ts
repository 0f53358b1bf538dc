/** A model's configuration, held to its form. */
import type { z } from 'zod';

/**
 * A configuration, completed.
 * @throws Error naming each field that is not right
 */
export function checkedConfig<T>(schema: z.ZodType<T>, json: unknown): T {
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw new Error(`The model configuration is not right. ${problems.join('; ')}.`);
}
