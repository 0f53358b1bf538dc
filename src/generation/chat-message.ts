/** Messages of a conversation. */

export interface ChatMessage {
  role: string;
  content: string;
  name?: string;
  /** What the model thought before it answered, for templates that keep it. */
  reasoning_content?: string;
  /** Calls of tools that an assistant's message made. */
  tool_calls?: ToolCall[];
  /** The call that a tool's message is the result of. */
  tool_call_id?: string;
}

export interface ToolCall {
  id: string;
  type: 'function';
  /** `arguments` is JSON, as the model wrote it. */
  function: { name: string; arguments: string };
}
