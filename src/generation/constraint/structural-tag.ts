/** Free text in which marks begin constrained stretches, as calls of tools are written (xgrammar's structural tags). */
import { InvalidInputError } from '../parameters.ts';
import type { StructuralFormat } from './constraint.ts';
import { anyCharacter, choice, type Expression, empty, oneOf, repeat, sequence, text } from './expression.ts';
import { parseGrammar } from './grammar.ts';
import { schemaExpression } from './json-schema.ts';
import { parseRegex } from './regex.ts';

/** Formats in one another at most. */
const DEPTH = 20;

/**
 * @param at where schemas stand in the request, for errors
 * @throws InvalidInputError if a format, or what stands in it, is not right
 */
export function structuralExpression(format: StructuralFormat, at: string, depth = 0, end = ''): Expression {
  if (depth > DEPTH) throw new InvalidInputError(`There are more than ${DEPTH} formats in one another.`);
  const inner = (each: StructuralFormat, behind = end) => structuralExpression(each, at, depth + 1, behind);
  switch (format.type) {
    case 'const_string':
      return text(format.value);
    case 'any_text': {
      const excluded = [...(format.excludes ?? []), ...(end ? [end] : [])];
      return excluded.length > 0 ? without(excluded) : repeat(oneOf(...anyCharacter), 0);
    }
    case 'json_schema':
      return schemaExpression(format.json_schema, at);
    case 'regex':
      return parseRegex(format.pattern);
    case 'grammar':
      return parseGrammar(format.grammar);
    case 'sequence':
      return sequence(...format.elements.map((each) => inner(each)));
    case 'or':
      return choice(...format.elements.map((each) => inner(each)));
    case 'tag':
      return sequence(text(format.begin), inner(format.content, format.end), text(format.end));
    case 'triggered_tags': {
      const { triggers, tags, at_least_one = false, stop_after_first = false } = format;
      const orphan = tags.find(({ begin }) => !triggers.some((trigger) => begin.startsWith(trigger)));
      if (orphan) throw new InvalidInputError(`The tag "${orphan.begin}" begins with none of the triggers.`);
      const tag = choice(...tags.map((each) => inner(each)));
      const free = without(end ? [...triggers, end] : triggers);
      if (stop_after_first) return at_least_one ? tag : sequence(free, choice(empty, tag));
      const more = repeat(sequence(tag, free), 0);
      return at_least_one ? sequence(tag, free, more) : sequence(free, more);
    }
    case 'tags_with_separator': {
      const { tags, separator, at_least_one = false, stop_after_first = false } = format;
      const tag = choice(...tags.map((each) => inner(each)));
      const some = stop_after_first ? tag : sequence(tag, repeat(sequence(text(separator), tag), 0));
      return at_least_one ? some : choice(empty, some);
    }
    default:
      throw new InvalidInputError(
        `There is no format ${JSON.stringify((format as { type: unknown }).type)}.`,
      );
  }
}

function without(texts: readonly string[]): Expression {
  if (texts.length === 0 || texts.some((each) => each === '' || each.length > 256))
    throw new InvalidInputError('Triggers and ends of tags are texts of 1 to 256 characters.');
  return { kind: 'without', texts };
}
