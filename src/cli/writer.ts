/** A model that writes, on this machine or behind an address: who asks it does not see which. */
import type { ChatMessage } from '../generation/text-tokenizer.ts';
import { printable } from './remote/server.ts';

export type TextInput = { text: string } | { messages: ChatMessage[] };

/** What happens while an answer is written: a generation's events, as far as every server tells them. */
export type WritingEvent =
  | { type: 'start' }
  | { type: 'delta'; index: number; text: string; logprobs?: object[] }
  /** Of answers to requests with tools, which the command line does not make. */
  | { type: 'tool_call'; index: number }
  | { type: 'trace'; index: number; tokens: object[] }
  | { type: 'end'; index: number; finish_reason: string }
  | { type: 'done'; usage?: object };

export interface Writer {
  id: string;
  /**
   * Writes an answer, or several.
   * @param parameters under the names of OpenAI's API
   * @throws the signal's reason when it aborts
   * @throws Error with a sentence if it is refused, or ends before its end
   */
  write(
    input: TextInput,
    parameters: Record<string, unknown>,
    signal?: AbortSignal,
  ): AsyncIterable<WritingEvent>;
}

/** The folder that is asked where neither a model nor a server is named. */
export const usualFolder = 'models/Llama-wick-3M';

/** A text as it is shown: a terminal obeys nothing that a model writes. */
export const forTerminal = (text: string): string => (process.stdout.isTTY ? printable(text) : text);
