/** Pages that are one file each, under a policy that lets nothing else run in them. */
import type { Context } from 'hono';

/**
 * Answers with a page.
 * @param values stand in the places of `{{name}}`, and are HTML already
 * @param images whether the page shows images that it has made or fetched itself
 */
export function showPage(
  c: Context,
  page: string,
  values: Readonly<Record<string, string>>,
  { images = false }: { images?: boolean } = {},
): Response {
  const nonce = crypto.randomUUID();
  const imageSource = images ? " img-src 'self' data: blob:;" : '';
  c.header(
    'content-security-policy',
    `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self';${imageSource} base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  c.header('cache-control', 'no-store');
  return c.html(page.replace(/\{\{(\w+)\}\}/g, (_, name: string) => ({ nonce, ...values })[name] ?? ''));
}
