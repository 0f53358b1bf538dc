/** Server-sent events as they come from any server (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

export interface ServerSentEvent {
  /** What kind it is; `message` where nothing is said. */
  event: string;
  data: string;
}

/**
 * Reads the events of a body, however it is cut into chunks, whatever its lines end with. Comments are passed over, and
 * so is an event that the body's end cuts off. Leaving the generator cancels the body.
 * @param limit characters of the longest event, its unfinished line included
 * @throws Error if an event is longer
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
  limit: number,
): AsyncGenerator<ServerSentEvent> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  /** The line that has not ended yet, in pieces: to put a long one together at every chunk would take for ever. */
  let pieces: string[] = [];
  let event = '';
  let data: string[] = [];
  let length = 0;
  /** Whether the last chunk ended in a CR: an LF that comes next belongs to it. */
  let afterReturn = false;
  const grow = (by: number) => {
    length += by;
    if (length > limit) throw new Error(`The stream has an event of more than ${limit} characters.`);
  };
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const text = afterReturn && chunk.value.startsWith('\n') ? chunk.value.slice(1) : chunk.value;
      afterReturn = chunk.value.endsWith('\r');
      const lines = text.split(/\r\n|\n|\r/);
      const rest = lines.pop()!;
      for (const end of lines) {
        grow(end.length);
        const line = [...pieces, end].join('');
        pieces = [];
        if (line === '') {
          if (data.length > 0) yield { event: event || 'message', data: data.join('\n') };
          [event, data, length] = ['', [], 0];
          continue;
        }
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
        if (name === 'data') data.push(value);
        if (name === 'event') event = value;
      }
      grow(rest.length);
      if (rest) pieces.push(rest);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
