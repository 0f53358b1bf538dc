/** The body of a request, read whole within bounds. */
import { Failure } from './failure.ts';

/** Bytes that a body may have where nothing else is said. */
const limit = 1_000_000;
/** Bytes and milliseconds for which the rest of a larger one is let run past: who still sends hears no answer. */
const rest = { bytes: 32_000_000, milliseconds: 10_000 };

/** @throws Failure 413, 415 if they are packed, 400 if the bytes are not UTF-8, or there are none */
export async function readText(request: Request, what: string, most = limit): Promise<string> {
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    const sent = encoding.slice(0, 100);
    throw new Failure(
      'unsupported_content_type',
      `The body is packed (${sent}), and is taken unpacked alone.`,
    );
  }
  const bytes = await readBytes(request, most);
  if (bytes.byteLength === 0) throw new Failure('empty_body', `The request has no body; it takes ${what}.`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Failure('invalid_encoding', 'The body is not UTF-8.');
  }
}

/**
 * JSON, whatever type it says it has: `curl -d` calls any text a form.
 * @throws Failure 413, 415 if it is of another type and no JSON, 400 if it is no JSON
 */
export async function readJson(request: Request, most?: number): Promise<unknown> {
  const type = mediaType(request);
  if (type.startsWith('multipart/')) throw notJson(type);
  const text = await readText(request, 'a JSON object', most);
  try {
    return JSON.parse(text);
  } catch (error) {
    if (type && !/^application\/(.*\+)?json$/.test(type)) throw notJson(type);
    // Where the engine quotes from the body, it is not told: nothing has looked at that yet.
    const reason = (error as Error).message
      .replace(/, (\.\.\.)?".*is not valid JSON$/s, '')
      .replace(/\.?$/, '.');
    throw new Failure('invalid_json', `The body is not JSON: ${reason}`);
  }
}

/** What type a body says it has, without its parameters; nothing where it does not say. */
export const mediaType = (request: Request): string =>
  (request.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase();

const notJson = (type: string): Failure =>
  new Failure(
    'unsupported_content_type',
    `The body has to be a JSON object, and is of the type ${type.slice(0, 100)}. With curl: -H 'content-type: application/json'.`,
  );

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
    throw new Failure('body_too_large', `The body is larger than ${limit} bytes, the most there may be.`);
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
