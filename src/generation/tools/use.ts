/** Tools, and which of them a model may or must call: OpenAI's forms, which generation takes as they are. */

export interface ToolDefinition {
  type: 'function';
  function: {
    name: string;
    description?: string;
    /** A JSON Schema of the arguments; without one there are none. */
    parameters?: object | null;
    /** Whether a schema that cannot be held to is refused even where the model need not call. */
    strict?: boolean | null;
  };
}

interface NamedFunction {
  type: 'function';
  function: { name: string };
}

export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | NamedFunction
  | { type: 'allowed_tools'; allowed_tools: { mode: 'auto' | 'required'; tools: NamedFunction[] } };

export interface ToolUse {
  tools?: readonly ToolDefinition[];
  /** `auto` where nothing is said. */
  tool_choice?: ToolChoice;
  /** Whether an answer may have several calls; it may where nothing is said. */
  parallel_tool_calls?: boolean;
}

/** What a request's tools come to. */
export interface ToolPlan {
  /** Those that the model is told of. */
  told: readonly ToolDefinition[];
  /** Those that it may call. */
  allowed: readonly ToolDefinition[];
  /** Whether it has to call one. */
  required: boolean;
  parallel: boolean;
}

/** The plan of a request; undefined where nothing can be called, and the model is told of nothing. */
export function planTools({
  tools = [],
  tool_choice = 'auto',
  parallel_tool_calls = true,
}: ToolUse): ToolPlan | undefined {
  if (tools.length === 0 || tool_choice === 'none') return undefined;
  const only = (names: readonly NamedFunction[]) =>
    tools.filter(({ function: { name } }) => names.some((each) => each.function.name === name));
  const plan = { told: tools, allowed: tools, required: tool_choice === 'required' };
  if (typeof tool_choice === 'string') return { ...plan, parallel: parallel_tool_calls };
  // A function that is called for by its name is called once.
  if (tool_choice.type === 'function')
    return { ...plan, allowed: only([tool_choice]), required: true, parallel: false };
  const { mode, tools: names } = tool_choice.allowed_tools;
  return { ...plan, allowed: only(names), required: mode === 'required', parallel: parallel_tool_calls };
}
