/** Text that is made bit by bit, as the body of a response. */

/**
 * A body of UTF-8 that takes from `parts` as fast as its reader reads, and calls `left` when the reader leaves.
 * If `parts` throws, the body breaks off, so that no reader takes it for whole.
 */
export function streamBody(parts: AsyncGenerator<string>, left: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      } catch (error) {
        controller.error(error);
      }
    },
    cancel() {
      left();
      parts.return(undefined).catch(() => {});
    },
  });
}

/** One server-sent event that carries JSON. */
export const serverSentEvent = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
