/** Text on the wire. */
import { z } from 'zod';

/** Text in well-formed Unicode of at most `limit` characters. */
export const wellFormed = (limit: number) =>
  z
    .string()
    .max(limit, `expected at most ${limit} characters`)
    .refine((text) => text.isWellFormed(), 'expected well-formed Unicode, got half of a surrogate pair');
