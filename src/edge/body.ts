/** The body of a request, read whole (the app bounds its size) and as UTF-8. */
import { Failure } from './failure.ts';

/** @throws Failure 400 if the bytes are not UTF-8, or there are none */
export async function readText(request: Request, what: string): Promise<string> {
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength === 0)
    throw new Failure(400, `The request has no body; it takes ${what}.`, { code: 'empty_body' });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Failure(400, 'The body is not UTF-8.', { code: 'invalid_encoding' });
  }
}

/** @throws Failure 400 if there is no JSON */
export async function readJson(request: Request): Promise<unknown> {
  const text = await readText(request, 'a JSON object');
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replace(/\.?$/, '.');
    throw new Failure(400, `The body is not JSON: ${reason}`, { code: 'invalid_json' });
  }
}
