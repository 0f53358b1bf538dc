import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const src = join(root, 'src');

/** Which room may import from which others. */
const arrows: Record<string, string[]> = {
  graph: [],
  data: [],
  architecture: ['graph'],
  training: ['graph', 'architecture', 'data'],
  generation: ['graph'],
  api: [],
  edge: ['generation', 'api'],
  service: ['generation', 'api'],
  cli: ['graph', 'data', 'architecture', 'training', 'generation', 'api', 'edge', 'service'],
};
/** Rooms that run anywhere: no Node in them. */
const anywhere = ['graph', 'generation', 'api'];

interface Import {
  file: string;
  specifier: string;
}

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

/** Every import and re-export of a file, type imports and dynamic ones too. */
function importsOf(file: string): Import[] {
  const found: Import[] = [];
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) for (const child of node) walk(child);
    else if (typeof node === 'object' && node !== null) {
      const { type, source } = node as {
        type?: string;
        source?: { value?: unknown };
      };
      if (/^(Import|Export)/.test(type ?? '') && typeof source?.value === 'string')
        found.push({ file, specifier: source.value });
      for (const child of Object.values(node)) walk(child);
    }
  };
  walk(
    parseAst(readFileSync(file, 'utf8'), {
      lang: file.endsWith('.ts') ? 'ts' : 'js',
    }),
  );
  return found;
}

const sources = files(src).filter((file) => /\.[jt]s$/.test(file));
const imports = sources.flatMap(importsOf);
const roomOf = (file: string) => relative(src, file).split('/')[0];

it('rooms import only from the rooms they may', () => {
  const wrong = imports.flatMap(({ file, specifier }) => {
    if (!specifier.startsWith('.')) return [];
    const target = resolve(dirname(file), specifier);
    if (!target.startsWith(src)) return [];
    const [from, to] = [roomOf(file), roomOf(target)];
    return from === to || arrows[from]?.includes(to) ? [] : [`${relative(root, file)} imports ${specifier}`];
  });
  expect(wrong).toEqual([]);
  expect(new Set(sources.map(roomOf))).toEqual(new Set(Object.keys(arrows)));
});

it('rooms that run anywhere import nothing of Node', () => {
  const wrong = imports.filter(
    ({ file, specifier }) =>
      anywhere.includes(roomOf(file)) && /^node:|^onnxruntime-(node|web)/.test(specifier),
  );
  expect(wrong.filter(({ file }) => roomOf(file) !== 'graph')).toEqual([]);
  expect(wrong).toEqual([]);
});

it('no file imports itself round a ring', () => {
  const targets = new Map(sources.map((file) => [file, [] as string[]]));
  for (const { file, specifier } of imports) {
    if (specifier.startsWith('.')) targets.get(file)!.push(resolve(dirname(file), specifier));
  }
  // Operators call each other in their gradient rules, which run long after all are loaded.
  const operators = join(src, 'graph/operators');
  const rings: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, path: string[]): void => {
    if (state.get(file) === 'open') {
      const ring = path.slice(path.indexOf(file));
      if (!ring.every((each) => each.startsWith(operators)))
        rings.push(ring.map((each) => relative(src, each)).join(' → '));
    }
    if (state.has(file)) return;
    state.set(file, 'open');
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of sources) visit(file, []);
  expect(rings).toEqual([]);
});

it('nothing else lies at the top', () => {
  const allowed = [
    'package.json',
    'package-lock.json',
    'wrangler.toml',
    'tsconfig.json',
    'src',
    'models',
    'scripts',
    'test',
    'README.md',
    'LICENSE',
    'node_modules',
  ];
  expect(readdirSync(root).filter((name) => !name.startsWith('.') && !allowed.includes(name))).toEqual([]);
});
