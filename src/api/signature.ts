/** Requests signed with a shared secret: HMAC-SHA-256 over what is asked, and when. */

/** Seconds by which the clocks of edge and service may differ. */
const TOLERANCE = 60;

const encoder = new TextEncoder();
const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

interface Signed {
  secret: string;
  method: string;
  /** Path and query, as in the request line. */
  path: string;
  body?: string | Uint8Array;
}

async function sign({ secret, method, path, body = '' }: Signed, timestamp: string): Promise<string> {
  const bytes = typeof body === 'string' ? encoder.encode(body) : body;
  const digest = hex(await crypto.subtle.digest('SHA-256', bytes as BufferSource));
  const signed = encoder.encode(`${timestamp}\n${method}\n${path}\n${digest}`);
  return hex(await crypto.subtle.sign('HMAC', await keyOf(secret), signed));
}

let imported: { secret: string; key: CryptoKey } | undefined;
/** The key of a secret. The last one is kept, since there is one as a rule. */
async function keyOf(secret: string): Promise<CryptoKey> {
  if (imported?.secret !== secret) {
    const algorithm = { name: 'HMAC', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign']);
    imported = { secret, key };
  }
  return imported.key;
}

/** The headers that sign a request. */
export async function signRequest(
  request: Signed,
): Promise<{ 'x-wick-timestamp': string; 'x-wick-signature': string }> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  return {
    'x-wick-timestamp': timestamp,
    'x-wick-signature': await sign(request, timestamp),
  };
}

/** Why a request is not taken as signed, or undefined if it is. A signature holds for a minute. */
export async function signatureFault(
  request: Signed,
  headers: { get(name: string): string | null | undefined },
): Promise<string | undefined> {
  const timestamp = headers.get('x-wick-timestamp') ?? '';
  const signature = headers.get('x-wick-signature') ?? '';
  if (!timestamp || !signature)
    return 'The request is not signed: it lacks x-wick-timestamp or x-wick-signature.';
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) {
    return `The signature's time is more than ${TOLERANCE} seconds from now.`;
  }
  return equal(await sign(request, timestamp), signature)
    ? undefined
    : 'The signature does not fit the request.';
}

/** Compares in a time that does not tell where two strings differ. */
function equal(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ (b.charCodeAt(i) || 0);
  return difference === 0;
}
