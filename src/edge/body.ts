/** The body of a request, read whole within bounds. */
import { Failure } from './failure.ts';

/** Bytes that a body may have where nothing else is said. */
const limit = 1_000_000;
/** Bytes and milliseconds for which the rest of a larger one is let run past: who still sends hears no answer. */
const rest = { bytes: 32_000_000, milliseconds: 10_000 };

/** @throws Failure 413, 400 if the bytes are not UTF-8, or there are none */
export async function readText(request: Request, what: string): Promise<string> {
  const bytes = await readBytes(request, limit);
  if (bytes.byteLength === 0)
    throw new Failure(400, `The request has no body; it takes ${what}.`, { code: 'empty_body' });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Failure(400, 'The body is not UTF-8.', { code: 'invalid_encoding' });
  }
}

/** @throws Failure 413, 400 if there is no JSON */
export async function readJson(request: Request): Promise<unknown> {
  const text = await readText(request, 'a JSON object');
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replace(/\.?$/, '.');
    throw new Failure(400, `The body is not JSON: ${reason}`, { code: 'invalid_json' });
  }
}

/** @throws Failure 413 */
export async function readBytes(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array();
  const reader = request.body.getReader();
  const tooLarge = Number(request.headers.get('content-length')) > limit;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (
    let piece = tooLarge ? undefined : await reader.read();
    piece && !piece.done;
    piece = await reader.read()
  ) {
    size += piece.value.byteLength;
    if (size > limit) break;
    chunks.push(piece.value);
  }
  if (tooLarge || size > limit) {
    await letPass(reader);
    throw new Failure(413, `The body is larger than ${limit} bytes, the most there may be.`, {
      code: 'body_too_large',
    });
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** Reads on without keeping anything, for a while. */
async function letPass(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const end = Date.now() + rest.milliseconds;
  const timer = setTimeout(() => reader.cancel().catch(() => {}), rest.milliseconds);
  try {
    for (let passed = 0; passed < rest.bytes && Date.now() < end; ) {
      const { done, value } = await reader.read();
      if (done) return;
      passed += value.byteLength;
    }
  } catch {
    // Whoever sends has gone.
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}
