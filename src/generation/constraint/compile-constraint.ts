/** A constraint of any type as an expression. */
import { InvalidInputError } from '../parameters.ts';
import { type Constraint, constraintTypes } from './constraint.ts';
import type { Expression } from './expression.ts';
import { parseGrammar } from './grammar.ts';
import { anyObject } from './json.ts';
import { schemaExpression } from './json-schema.ts';
import { parseRegex } from './regex.ts';
import { structuralExpression } from './structural-tag.ts';

/**
 * The texts that meet a constraint.
 * @throws InvalidInputError naming what in it is not right, or cannot be enforced
 */
export function constraintExpression(constraint: Constraint): Expression {
  const at = constraint.at ?? 'constraint';
  try {
    switch (constraint.type) {
      case 'json_object':
        return anyObject;
      case 'json_schema':
        return schemaExpression(constraint.schema, at);
      case 'regex':
        return parseRegex(constraint.pattern);
      case 'grammar':
        return parseGrammar(constraint.grammar);
      case 'structural_tag':
        return structuralExpression(constraint.format, at);
      default:
        throw new InvalidInputError(`A constraint's type is one of ${constraintTypes.join(', ')}.`);
    }
  } catch (error) {
    throw placed(error, at);
  }
}

/** The same error, with the place in the request where it does not name one. */
export function placed(error: unknown, at: string): unknown {
  if (!(error instanceof InvalidInputError) || error.param !== null) return error;
  return new InvalidInputError(error.message, { param: at, code: error.code });
}
