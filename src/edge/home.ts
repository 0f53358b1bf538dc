/** What `GET /` shows: three curl lines to a terminal, a small page to a browser. */
import type { Context } from 'hono';
import page from './home.html';

const curlLines = (origin: string, model: string): string[] => [
  `curl -N ${origin}/text -d 'Once upon a time'`,
  `curl -N ${origin}/v1/completions -H 'content-type: application/json' -d '{"model":"${model}","prompt":"Once upon a time","stream":true}'`,
  `curl ${origin}/v1/models`,
];

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Answers a browser (who accepts HTML) with the page and everyone else with plain text. */
export function home(c: Context, model: string): Response {
  const lines = curlLines(new URL(c.req.url).origin, model);
  c.header('vary', 'accept');
  if (!c.req.header('accept')?.includes('text/html')) return c.text(`${lines.join('\n')}\n`);
  const nonce = crypto.randomUUID();
  const values: Record<string, string> = { nonce, curl: escapeHtml(lines.join('\n')) };
  c.header(
    'content-security-policy',
    `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  c.header('cache-control', 'no-store');
  return c.html(page.replace(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? ''));
}
