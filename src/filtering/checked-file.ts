/** Files of a model's folder, held to their form. */
import type { z } from 'zod';

/**
 * What a file holds, if it has its form.
 * @param of what the file is of: `the classifier`
 * @throws Error naming the field that is not right
 */
export function checkedFile<T>(schema: z.ZodType<T>, json: unknown, name: string, of: string): T {
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw new Error(`${name} of ${of} is not right. ${problems.join('; ')}.`);
}
