/** `truncation: "auto"`: the oldest turns of a conversation are left out until the rest fits the model. */
import type { ChatMessages } from '../../api/messages.ts';

/** Tokens that are left for the answer, where the caller names no number; never more than half of the context. */
const ROOM = 256;

/**
 * A conversation that fits, or as little of it as can be: instructions at its beginning stay, and so does its last
 * turn, with whatever calls and results belong to it.
 * @param count counts the tokens of messages, and of the model's context
 */
export async function truncated(
  messages: ChatMessages,
  answerTokens: number | undefined,
  count: (messages: ChatMessages) => Promise<{ tokens: number; context: number }>,
): Promise<ChatMessages> {
  const { tokens, context } = await count(messages);
  const room = context - Math.min(answerTokens ?? ROOM, Math.floor(context / 2));
  if (tokens <= room) return messages;
  const first = messages.findIndex(({ role }) => role !== 'system');
  if (first < 0) return messages;
  const system = messages.slice(0, first);
  const from = (start: number) => [...system, ...messages.slice(start)];
  // A turn begins with what the user says.
  const starts = messages.flatMap(({ role }, at) => (at > first && role === 'user' ? [at] : []));
  if (starts.length === 0) return messages;
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await count(from(starts[middle]))).tokens <= room) high = middle;
    else low = middle + 1;
  }
  return from(starts[low]);
}
