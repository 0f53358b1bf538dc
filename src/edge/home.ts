/** What `GET /` shows: curl lines to a terminal, a small page to a browser. */
import type { Context } from 'hono';
import page from './home.html';
import { showPage } from './page.ts';

const curlLines = (origin: string, model: string, draws: boolean): string[] => [
  `curl -N ${origin}/text -d 'Once upon a time'`,
  `curl '${origin}/text?prompt=Once+upon+a+time&max_tokens=60' -H 'accept: application/json'`,
  `curl -N ${origin}/v1/completions -H 'content-type: application/json' -d '{"model":"${model}","prompt":"Once upon a time","stream":true}'`,
  ...(draws
    ? [
        `curl -o apple.png '${origin}/image/red%20apple.png?seed=1'`,
        `curl -N ${origin}/image -d 'a red apple' -H 'accept: text/event-stream'`,
      ]
    : []),
  `curl ${origin}/v1/models`,
  `curl ${origin}/openapi.json`,
];

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * Answers a browser (who accepts HTML) with the page and everyone else with plain text.
 * @param draws whether there is a service, which images are drawn on
 */
export function home(c: Context, model: string, draws: boolean): Response {
  const lines = curlLines(new URL(c.req.url).origin, model, draws);
  c.header('vary', 'accept');
  if (!c.req.header('accept')?.includes('text/html')) return c.text(`${lines.join('\n')}\n`);
  const drawing = draws ? '<a href="/draw">Draw an image</a> · ' : '';
  const link = `<p>${drawing}<a href="/docs">All routes, with examples</a></p>`;
  return showPage(c, page, { curl: escapeHtml(lines.join('\n')), link });
}
