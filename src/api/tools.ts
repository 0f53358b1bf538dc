/** Tools that a model may call, as OpenAI's API describes them, and which of them it may or must. */
import { z } from 'zod';
import { BadRequest } from './errors.ts';
import { wellFormed } from './parameters.ts';

export const functionName = z
  .string('expected the name of a function')
  .regex(/^[a-zA-Z0-9_-]{1,64}$/, 'expected a name of 1 to 64 letters, digits, _ and -');

/** Characters of a function's `parameters` as JSON, and how deep they may be nested. */
const schemaLimits = { characters: 100_000, depth: 64 };

const schema = z
  .record(z.string(), z.unknown(), 'expected a JSON Schema')
  .refine((value) => depthWithin(value, schemaLimits.depth), `expected at most ${schemaLimits.depth} levels`)
  .refine(
    (value) =>
      !depthWithin(value, schemaLimits.depth) || JSON.stringify(value).length <= schemaLimits.characters,
    `expected at most ${schemaLimits.characters} characters of JSON`,
  );

const argumentsSchema = schema.refine(
  ({ type }) => type === undefined || type === 'object',
  'expected a schema of an object, as arguments have names',
);

const functionDefinition = z.strictObject({
  name: functionName,
  description: wellFormed(16_384).optional(),
  /** A JSON Schema of the arguments; a function without takes none. */
  parameters: argumentsSchema.nullable().optional(),
});

const functionTool = z.strictObject({
  type: z.literal('function'),
  function: functionDefinition.extend({
    /** Whether a schema that cannot be held to is refused also where the model may choose not to call. */
    strict: z.boolean().nullable().optional(),
  }),
});
const tool = z.discriminatedUnion('type', [
  functionTool,
  z
    .looseObject({ type: z.literal('custom') })
    .refine((): boolean => false, 'a tool of type "custom" is one that wick does not serve'),
]);

const most = 128;
const namedFunction = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({ name: functionName }),
});

export const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    namedFunction,
    z.strictObject({
      type: z.literal('allowed_tools'),
      allowed_tools: z.strictObject({
        mode: z.enum(['auto', 'required']),
        tools: z.array(namedFunction).min(1).max(most),
      }),
    }),
  ],
  'expected "none", "auto", "required", a function by its name, or allowed_tools',
);

/** Which tools there are and which may be called, beside the messages of a conversation. */
export const toolParameters = {
  tools: z
    .array(tool)
    .min(1, 'expected at least one tool')
    .max(most, `expected at most ${most} tools`)
    .transform(named)
    .optional(),
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: z.boolean().optional(),
};

/** The older form of the same. */
export const functionParameters = {
  functions: z.array(functionDefinition).min(1, 'expected at least one function').max(most).optional(),
  function_call: z.union([z.enum(['none', 'auto']), z.strictObject({ name: functionName })]).optional(),
};

export type ToolDefinition = z.infer<typeof functionTool>;
export type ToolChoice = z.infer<typeof toolChoice>;
export interface ToolUse {
  tools?: ToolDefinition[];
  tool_choice?: ToolChoice;
  parallel_tool_calls?: boolean;
}

const given = z.object({ ...toolParameters, ...functionParameters });

/**
 * The tools of a request in one form, whichever of the two it came in. One call at a time is all that the older knows.
 * @throws BadRequest if both are given, or a function is chosen that is not there
 */
export function toolUseOf(request: z.infer<typeof given>): ToolUse {
  const { functions, function_call: call } = request;
  if (!functions && call === undefined) return checked(pick(request));
  for (const name of ['tools', 'tool_choice', 'parallel_tool_calls'] as const) {
    if (request[name] === undefined) continue;
    const older = functions ? 'functions' : 'function_call';
    throw new BadRequest(`\`${older}\` is an older form of \`${name}\`; give one of them.`, { param: older });
  }
  if (typeof call === 'object' && !functions?.some(({ name }) => name === call.name))
    throw noFunction(call.name, 'function_call.name');
  const tools = functions?.map((each) => ({ type: 'function' as const, function: each }));
  return checked({
    ...(tools && { tools }),
    ...(call !== undefined && {
      tool_choice: typeof call === 'string' ? call : { type: 'function', function: { name: call.name } },
    }),
    parallel_tool_calls: false,
  });
}

function pick({ tools, tool_choice, parallel_tool_calls }: ToolUse): ToolUse {
  return {
    ...(tools && { tools }),
    ...(tool_choice !== undefined && { tool_choice }),
    ...(parallel_tool_calls !== undefined && { parallel_tool_calls }),
  };
}

function checked(use: ToolUse): ToolUse {
  const { tools, tool_choice: choice } = use;
  // Without tools nothing is called, which is all that these two ask for.
  if (!tools && choice !== undefined && choice !== 'none' && choice !== 'auto')
    throw new BadRequest('`tool_choice` needs `tools` to choose from.', { param: 'tool_choice' });
  const names = new Set(tools?.map((each) => each.function.name));
  if (typeof choice !== 'object') return use;
  if (choice.type === 'function') {
    if (!names.has(choice.function.name)) throw noFunction(choice.function.name, 'tool_choice.function.name');
  } else {
    for (const [i, { function: allowed }] of choice.allowed_tools.tools.entries())
      if (!names.has(allowed.name))
        throw noFunction(allowed.name, `tool_choice.allowed_tools.tools[${i}].function.name`);
  }
  return use;
}

const noFunction = (name: string, param: string) =>
  new BadRequest(`\`${param}\` is "${name}", and there is no such function among the tools.`, {
    param,
    code: 'invalid_value',
  });

/** Functions that their names tell apart. */
function named(tools: z.infer<typeof tool>[], context: z.RefinementCtx): ToolDefinition[] {
  const names = new Set<string>();
  for (const [i, each] of (tools as ToolDefinition[]).entries()) {
    const { name } = each.function;
    if (names.has(name)) {
      const path = [i, 'function', 'name'];
      context.addIssue({ code: 'custom', message: `another function is called "${name}"`, path });
    }
    names.add(name);
  }
  return tools as ToolDefinition[];
}

/** Whether a JSON value is nested at most so deep. */
function depthWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((each) => depthWithin(each, depth - 1));
}
