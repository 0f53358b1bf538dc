/** Pages that are one file each, under a policy that lets nothing else run in them. */
import type { Context } from 'hono';

/**
 * Answers with a page.
 * @param values stand in the places of `{{name}}`, and are HTML already
 * @param images whether the page shows images that it has made or fetched itself
 * @param inlineStyles whether its parts bring styles of their own, and scripts of this Worker are imported by it
 */
export function showPage(
  c: Context,
  page: string,
  values: Readonly<Record<string, string>>,
  { images = false, inlineStyles = false }: { images?: boolean; inlineStyles?: boolean } = {},
): Response {
  const nonce = crypto.randomUUID();
  const imageSource = images ? " img-src 'self' data: blob:;" : '';
  const styleSource = inlineStyles ? "'unsafe-inline'" : `'nonce-${nonce}'`;
  const scriptSource = `'nonce-${nonce}'${inlineStyles ? " 'self'" : ''}`;
  c.header(
    'content-security-policy',
    `default-src 'none'; style-src ${styleSource}; script-src ${scriptSource}; connect-src 'self';${imageSource} base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  c.header('cache-control', 'no-store');
  return c.html(page.replace(/\{\{(\w+)\}\}/g, (_, name: string) => ({ nonce, ...values })[name] ?? ''));
}
