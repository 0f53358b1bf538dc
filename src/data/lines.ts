/** Files of one JSON value a line. */
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

export async function* readJsonLines<T>(path: string): AsyncGenerator<T> {
  // A line break inside a text is escaped in JSON, so each line is a value.
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    yield JSON.parse(line) as T;
  }
}

/** Writes values as they come, no faster than the disk takes them. */
export function jsonLineWriter(path: string): { write(value: unknown): Promise<void>; end(): Promise<void> } {
  const stream = createWriteStream(path);
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure = error;
  });
  return {
    async write(value) {
      if (failure) throw failure;
      if (!stream.write(`${JSON.stringify(value)}\n`)) await once(stream, 'drain');
    },
    async end() {
      if (failure) throw failure;
      const closed = once(stream, 'close');
      stream.end();
      await closed;
      if (failure) throw failure;
    },
  };
}
