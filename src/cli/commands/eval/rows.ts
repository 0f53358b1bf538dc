/** Rows of JSON lines that are judged. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** A field, and the value that rows have to have in it. */
export type Where = [field: string, value: string] | undefined;

/**
 * The rows of files that have the value, as `read` makes them out of JSON.
 * @throws Error naming the file and the line of a row that `read` throws at
 */
export async function* readRows<Row>(
  files: readonly string[],
  where: Where,
  read: (row: unknown) => Row,
): AsyncGenerator<Row> {
  for await (const { json, file, number } of linesOf(files)) {
    try {
      const row: unknown = JSON.parse(json);
      if (where && String((row as Record<string, unknown> | null)?.[where[0]]) !== where[1]) continue;
      yield read(row);
    } catch (error) {
      throw new Error(`${file}, line ${number}: ${(error as Error).message}.`, { cause: error });
    }
  }
}

/** The lines of files that are not empty. */
export async function* linesOf(
  files: readonly string[],
): AsyncGenerator<{ json: string; file: string; number: number }> {
  for (const file of files) {
    let number = 0;
    for await (const json of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      number++;
      if (json.trim() !== '') yield { json, file, number };
    }
  }
}
