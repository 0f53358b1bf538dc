/** What holds a model to its calls of tools: the marks of its format, and the schemas of the functions' arguments. */
import type { Constraint, StructuralFormat, Tag } from '../constraint/constraint.ts';
import { schemaExpression } from '../constraint/json-schema.ts';
import { InvalidInputError } from '../parameters.ts';
import type { ToolCallFormat } from './format.ts';
import type { ToolDefinition, ToolPlan } from './use.ts';

/** How a function's arguments are held: to its schema, or to an object of any kind where that cannot be. */
type Hold = (tool: ToolDefinition, at: string) => object;

/**
 * An answer that is a call, or several, where one is required; else text in which a call that has begun is held to.
 * Under a constraint of the caller's the answer is either what that says, or calls.
 * @param check compiles a constraint
 * @throws InvalidInputError naming what in a function's schema cannot be enforced, where the plan or `strict` needs it;
 * any other such function is held to an object of any kind, and so are all where their schemas are too large together
 */
export function toolConstraint(
  plan: ToolPlan,
  format: ToolCallFormat,
  others: Constraint | null,
  check: (constraint: Constraint) => void,
): Constraint {
  const held = constraintOf(plan, format, others, (tool, at) =>
    argumentsSchema(tool, format, at, plan.required),
  );
  if (plan.required || plan.allowed.some((tool) => tool.function.strict)) return held;
  try {
    check(held);
    return held;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return constraintOf(plan, format, others, () => anyObject);
  }
}

const anyObject = { type: 'object' };

function constraintOf(
  plan: ToolPlan,
  format: ToolCallFormat,
  others: Constraint | null,
  hold: Hold,
): Constraint {
  const tags = plan.told.flatMap((tool, i): Tag[] => {
    if (!plan.allowed.includes(tool)) return [];
    const [begin, end] = format.call(tool.function.name);
    const at = `tools[${i}].function.parameters`;
    return [{ type: 'tag', begin, content: argumentsFormat(hold(tool, at), format, at), end }];
  });
  const one = { stop_after_first: !plan.parallel };
  const several: StructuralFormat = {
    ...{ type: 'tags_with_separator', tags, separator: format.separator },
    ...{ at_least_one: true, ...one },
  };
  const blocks: Tag[] | undefined = format.block && [
    { type: 'tag', begin: format.block[0], content: several, end: format.block[1] },
  ];
  const calls = blocks?.[0] ?? several;
  const textWithCalls: StructuralFormat = {
    ...{ type: 'triggered_tags', triggers: [format.trigger], tags: blocks ?? tags, ...one },
  };
  const answer: StructuralFormat = plan.required
    ? calls
    : others
      ? { type: 'or', elements: [formatOf(others), calls] }
      : textWithCalls;
  return { type: 'structural_tag', format: answer, at: 'tools' };
}

/** The schema that a function's arguments are held to. */
function argumentsSchema(
  { function: { parameters, strict } }: ToolDefinition,
  format: ToolCallFormat,
  at: string,
  needed: boolean,
): object {
  const schema = closed(parameters ?? { type: 'object', properties: {} });
  try {
    schemaExpression(schema, at);
    argumentsFormat(schema, format, at);
    return schema;
  } catch (error) {
    if (needed || strict || !(error instanceof InvalidInputError)) throw error;
    return anyObject;
  }
}

/** What arguments of a schema look like, written in a format. */
const argumentsFormat = (
  schema: object,
  { arguments: form }: ToolCallFormat,
  at: string,
): StructuralFormat => (form ? form.hold(schema, at) : { type: 'json_schema', json_schema: schema });

/** Arguments are an object; and of others than those that are named no function knows what to do with them. */
function closed(schema: object): object {
  const open = ['additionalProperties', 'patternProperties', '$ref', 'allOf', 'anyOf', 'oneOf'];
  const named = 'properties' in schema && !open.some((keyword) => keyword in schema);
  return { ...schema, type: 'object', ...(named && { additionalProperties: false }) };
}

function formatOf(constraint: Constraint): StructuralFormat {
  switch (constraint.type) {
    case 'json_object':
      return { type: 'json_schema', json_schema: { type: 'object' } };
    case 'json_schema':
      return { type: 'json_schema', json_schema: constraint.schema };
    case 'structural_tag':
      return constraint.format;
    default:
      return constraint;
  }
}
