/**
 * `node scripts/node.js scripts/confusables.ts`: writes src/filtering/confusables.ts from Unicode's confusables
 * (UTS 39), as the package unhomoglyph carries them: those characters that look like one of ASCII's.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const data = createRequire(import.meta.url)('unhomoglyph/data.json') as Record<string, string>;
const alike = new Map<string, string[]>();
for (const [character, ascii] of Object.entries(data)) {
  // Digits of other scripts have their own value, whatever they look like; NFKD finds what it can by itself.
  const found = /^[\0-\x7f]+$/.test(character.normalize('NFKD').replace(/\p{M}/gu, ''));
  if (!/^[!-~]$/.test(ascii) || found || /[\p{Nd}\p{M}\p{Cf}\p{Z}]/u.test(character)) continue;
  alike.set(ascii, [...(alike.get(ascii) ?? []), character]);
}
const lines = [...alike]
  .sort()
  .map(([ascii, characters]) => `${ascii}${characters.sort().join('')}`)
  .map((line) => `  ${line.startsWith("'") ? JSON.stringify(line) : `'${line.replace('\\', '\\\\')}'`},`);
writeFileSync(
  new URL('../src/filtering/confusables.ts', import.meta.url),
  `/** Characters that look like one of ASCII's (UTS 39): each line's first, and those that look like it. Made by scripts/confusables.ts. */
export const confusables: readonly string[] = [
${lines.join('\n')}
];
`,
);
