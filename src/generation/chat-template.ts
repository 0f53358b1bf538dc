/** Conversations as the makers of a model write them: its chat template, which is a Jinja program. */
import { Template } from '@huggingface/jinja';
import type { ChatMessage } from './chat-message.ts';
import { InvalidInputError } from './parameters.ts';
import { type ToolCallFormat, toolCallFormatOf } from './tools/format.ts';
import { type FittedConversation, fitToTemplate } from './tools/history.ts';
import { probeTemplate, type Render, type TemplateSupport } from './tools/template-support.ts';
import type { ToolDefinition } from './tools/use.ts';

export interface TemplateOptions {
  /** Tools that the model is told of. */
  tools?: readonly ToolDefinition[];
  /** Whether the text ends where the model's answer begins; it does if nothing is said. */
  addGenerationPrompt?: boolean;
}

/** tokenizer_config.json, as far as it is about conversations. */
export interface ChatTemplateConfig {
  /** One template, or several by name: `default`, and `tool_use` for conversations with tools. */
  chat_template?: string | { name: string; template: string }[];
  bos_token?: string | { content: string } | null;
  eos_token?: string | { content: string } | null;
  pad_token?: string | { content: string } | null;
  unk_token?: string | { content: string } | null;
}

export interface ChatTemplate {
  /**
   * Writes a conversation. What the template has no form for (tools, calls, results) is written as text.
   * @throws InvalidInputError if there is no template, or it refuses the messages
   */
  render(messages: readonly ChatMessage[], options?: TemplateOptions): string;
  /** How the model writes its calls of tools. */
  toolCallFormat(): ToolCallFormat;
}

interface Loaded {
  render: Render;
  format: ToolCallFormat;
  /** Worked out when a conversation with tools first needs it. */
  support?: TemplateSupport;
}

/** The chat template of a model. Templates are parsed when they are first needed. */
export function createChatTemplate(config: ChatTemplateConfig): ChatTemplate {
  const names = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;
  const tokens = Object.fromEntries(names.map((name) => [name, content(config[name])]));
  const known = new Map<string, Loaded>();
  const load = (name: string): Loaded => {
    const source = templateNamed(name, config);
    const loaded = known.get(source) ?? parse(source);
    known.set(source, loaded);
    return loaded;
  };
  const parse = (source: string): Loaded => {
    const template = new Template(source);
    const render: Render = (messages, tools, prompt = true) =>
      template.render({ messages, add_generation_prompt: prompt, ...(tools && { tools }), ...tokens });
    return { render, format: toolCallFormatOf(source) };
  };
  return {
    render(messages, { tools = [], addGenerationPrompt = true } = {}) {
      const called =
        tools.length > 0 || messages.some(({ role, tool_calls }) => tool_calls || role === 'tool');
      const template = load(called ? 'tool_use' : 'default');
      if (called && !template.support) template.support = probeTemplate(template.render);
      const fitted: FittedConversation = template.support
        ? fitToTemplate(messages, tools, template.support, template.format)
        : { messages: [...messages] };
      try {
        return template.render(fitted.messages, fitted.tools, addGenerationPrompt);
      } catch (error) {
        throw new InvalidInputError(
          `The model's chat template refuses these messages: ${(error as Error).message}`,
          { param: 'messages' },
        );
      }
    },
    toolCallFormat: () => load('tool_use').format,
  };
}

const content = (token: string | { content: string } | null | undefined) =>
  typeof token === 'object' && token !== null ? token.content : (token ?? '');

/** The template of this name; the default where there is none, and any where there is no default. */
function templateNamed(name: string, { chat_template }: ChatTemplateConfig): string {
  const named = (wanted: string) =>
    Array.isArray(chat_template) ? chat_template.find((each) => each.name === wanted)?.template : undefined;
  const template = Array.isArray(chat_template)
    ? (named(name) ?? named('default') ?? chat_template[0]?.template)
    : chat_template;
  if (template) return template;
  throw new InvalidInputError('The model has no chat template: ask it through /v1/completions.', {
    param: 'messages',
    code: 'no_chat_template',
  });
}
