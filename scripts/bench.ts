/** `npm run bench -- NAME [--json]`: runs a benchmark; a table for people, or one line of JSON. */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';

/** What a benchmark gives: rows for people, and the figures that matter. */
export interface BenchResult {
  rows: Record<string, string | number>[];
  summary: Record<string, string | number | boolean>;
}

const folder = new URL('./bench/', import.meta.url);
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => basename(name, '.ts'));

const [name, ...args] = process.argv.slice(2);
if (!name || !names.includes(name)) {
  const unknown = name && name !== '--help' ? `There is no benchmark "${name}". ` : '';
  console.error(`${unknown}Usage: npm run bench -- NAME [--json]. There is: ${names.join(', ')}.`);
  process.exit(name === '--help' ? 0 : 2);
}
const json = args.includes('--json');
const { run } = (await import(new URL(`${name}.ts`, folder).href)) as {
  run: (options: { json: boolean; args: string[] }) => Promise<BenchResult>;
};
const { rows, summary } = await run({ json, args: args.filter((arg) => arg !== '--json') }).catch(failed);
if (json) console.log(JSON.stringify(summary));
else {
  printTable(rows);
  console.log(
    Object.entries(summary)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n'),
  );
}
process.exit(0);

function failed(error: NodeJS.ErrnoException): never {
  console.error(`bench ${name}: ${error.message}`);
  if (process.env.WICK_DEBUG) console.error(error);
  process.exit(error.code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1);
}

function printTable(rows: BenchResult['rows']): void {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]);
  const width = (column: string) =>
    Math.max(column.length, ...rows.map((row) => String(row[column] ?? '').length));
  const line = (cells: string[]) => console.log(cells.join('  ').trimEnd());
  line(columns.map((column) => column.padEnd(width(column))));
  for (const row of rows) {
    line(
      columns.map((column) =>
        typeof row[column] === 'number'
          ? String(row[column]).padStart(width(column))
          : String(row[column] ?? '').padEnd(width(column)),
      ),
    );
  }
  console.log('');
}
