/** What people ask for: a prompt and options, in the body as they come by hand. */
import { mediaType, readBytes, readJson, readText } from './body.ts';
import { Failure } from './failure.ts';

export interface Asked {
  prompt: string;
  /** Options that came as texts: of the address, and of a form, which counts before it. */
  texts: URLSearchParams;
  /** Options that came in JSON. */
  values: Record<string, unknown>;
}

/** Bytes of a form, with its boundaries. */
const formLimit = 1_100_000;

/**
 * Reads the body of a `POST`: JSON and forms where it says that it is one, and otherwise the prompt itself. `curl -d`
 * calls any text a form, so such a body is one only where it has a field `prompt`.
 * @param what the prompt is, for the sentence where there is none
 * @throws Failure 413, 415 or 400
 */
export async function readAsked(request: Request, what: string): Promise<Asked> {
  const texts = new URL(request.url).searchParams;
  const type = mediaType(request);
  if (/^application\/(.*\+)?json$/.test(type)) return ofJson(await readJson(request), texts, what);
  if (type === 'multipart/form-data') return ofFields(await readForm(request), texts, what);
  const text = await readText(request, what);
  if (type === 'application/x-www-form-urlencoded' && isForm(text))
    return ofFields(new URLSearchParams(text), texts, what);
  return { prompt: once(texts, text), texts, values: {} };
}

/** What a `GET` asks for, all in its address. */
export function askedInAddress(request: Request, what: string): Asked {
  return ofFields(new URLSearchParams(), new URL(request.url).searchParams, what);
}

function ofJson(json: unknown, texts: URLSearchParams, what: string): Asked {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Failure('invalid_value', 'The body has to be a JSON object with a `prompt`.');
  const { prompt, ...values } = Object.fromEntries(
    Object.entries(json).filter(([, value]) => value !== null),
  ) as Record<string, unknown>;
  if (prompt === undefined || prompt === '') throw missing(what);
  if (typeof prompt !== 'string')
    throw new Failure('invalid_value', '`prompt` is not right: expected a text.', { param: 'prompt' });
  return { prompt: once(texts, prompt), texts, values };
}

function ofFields(fields: URLSearchParams, texts: URLSearchParams, what: string): Asked {
  const all = new URLSearchParams(fields);
  for (const [name, text] of texts) if (name === 'prompt' || !fields.has(name)) all.append(name, text);
  const [prompt, ...others] = all.getAll('prompt');
  if (!prompt) throw missing(what);
  all.delete('prompt');
  if (others.length > 0) throw twice();
  return { prompt, texts: all, values: {} };
}

/** A prompt of the body, which the address must not give as well. */
function once(texts: URLSearchParams, prompt: string): string {
  if (texts.has('prompt')) throw twice();
  return prompt;
}

const missing = (what: string): Failure =>
  new Failure('invalid_value', `\`prompt\` is missing: ${what}.`, { param: 'prompt' });

const twice = (): Failure =>
  new Failure('invalid_value', '`prompt` is given more than once; give it once.', { param: 'prompt' });

/** Whether a body is name=value pairs with a prompt among them, and not a text that `curl -d` calls a form. */
function isForm(text: string): boolean {
  const names = text.split('&').map((pair) => /^([\w.-]+)=/.exec(pair)?.[1]);
  return names.includes('prompt') && !names.includes(undefined);
}

/** The fields of a form; a file stands for its text. */
async function readForm(request: Request): Promise<URLSearchParams> {
  const bytes = await readBytes(request, formLimit);
  const headers = { 'content-type': request.headers.get('content-type')! };
  const form = await new Response(bytes, { headers }).formData().catch(() => {
    throw new Failure(
      'invalid_form',
      'The body is no form of the type multipart/form-data, or has a part cut off.',
    );
  });
  const fields = new URLSearchParams();
  for (const [name, value] of form)
    fields.append(name, typeof value === 'string' ? value : await textOf(value));
  return fields;
}

async function textOf(file: File): Promise<string> {
  return readText(new Request('http://file', { method: 'POST', body: file }), 'a text');
}
