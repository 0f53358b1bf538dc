/** Values put back into an answer in the place of what stood for them, and the answer without them for who keeps it. */
import type { GenerationEvent } from '../../api/events.ts';
import { createRestoreStream, type Placeholders, type RestoreStream } from '../../filtering/placeholders.ts';

/** Within a string of JSON, as the arguments of a call are. */
const inJson = (value: string): string => JSON.stringify(value).slice(1, -1);

interface Open {
  call?: number;
  stream: RestoreStream;
}

/**
 * The events with values put back.
 * @param json whether the text is JSON
 * @param kept gets the texts and arguments of the first choice one after the other, as they were before
 */
export async function* restoreAnswer(
  events: AsyncGenerator<GenerationEvent>,
  placeholders: Placeholders,
  json: boolean,
  kept: string[] = [],
): AsyncGenerator<GenerationEvent> {
  const open = new Map<number, Open>();
  function* close(index: number): Generator<GenerationEvent> {
    const { call, stream } = open.get(index) ?? {};
    open.delete(index);
    const rest = stream?.end();
    if (!rest) return;
    const part = { index, tokens: [] };
    if (call === undefined) yield { type: 'delta', text: rest, ...part };
    else yield { type: 'tool_call', call, arguments: rest, ...part };
  }
  for await (const event of events) {
    if (event.type === 'end') yield* close(event.index);
    if (event.type !== 'delta' && event.type !== 'tool_call') {
      yield event;
      continue;
    }
    const call = event.type === 'tool_call' ? event.call : undefined;
    let current = open.get(event.index);
    if (!current || current.call !== call) {
      yield* close(event.index);
      const written = call !== undefined || json ? inJson : undefined;
      current = { call, stream: createRestoreStream(placeholders, written) };
      open.set(event.index, current);
      if (event.index === 0) kept.push('');
    }
    const text = event.type === 'delta' ? event.text : event.arguments;
    if (event.index === 0) kept[kept.length - 1] += text;
    const restored = current.stream.push(text);
    yield event.type === 'delta' ? { ...event, text: restored } : { ...event, arguments: restored };
  }
}
