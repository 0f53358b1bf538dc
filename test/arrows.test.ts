import { readdirSync, readFileSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const src = join(root, 'src');

/** Which others a room may import from: a whole room, or one part of it. */
const arrows: Record<string, string[]> = {
  graph: [],
  data: ['filtering'],
  architecture: ['graph'],
  // What a classifier or a tagger learns from and what it judges are read by the same rules.
  training: [
    ...['graph', 'architecture', 'data', 'filtering/text-features', 'filtering/classify'],
    ...['filtering/tag-features', 'filtering/tag-spans', 'filtering/tag'],
  ],
  alignment: ['graph', 'architecture', 'data', 'training'],
  generation: ['graph/rewrites'],
  filtering: [],
  // What an answer may be asked to be like stands in requests and in policies.
  api: ['filtering/form/answer-form'],
  edge: ['generation', 'filtering', 'api'],
  service: ['generation', 'filtering', 'api'],
  widget: ['api'],
  cli: [
    'graph',
    'data',
    'architecture',
    'training',
    'alignment',
    'generation',
    'filtering',
    'api',
    'edge',
    'service',
    'widget',
  ],
};
/** Rooms that run anywhere: nothing in them of Node, nor of one of its or the browser's runtimes. */
const anywhere = ['graph', 'generation', 'filtering', 'api'];
const runsInOnePlace = (specifier: string) =>
  isBuiltin(specifier) || /^onnxruntime-(node|web)/.test(specifier);

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

/** Every import and re-export of a file, those of types and dynamic ones too. */
function importsOf(file: string, text = readFileSync(file, 'utf8')): Import[] {
  const found: Import[] = [];
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) for (const child of node) walk(child);
    else if (typeof node === 'object' && node !== null) {
      const { type = '', source } = node as { type?: string; source?: { value?: unknown } | null };
      if (/^(Import|Export|TSImportType)/.test(type) && source) {
        // What is put together while it runs cannot be checked, and is not wanted.
        const specifier = typeof source.value === 'string' ? source.value : '(not a literal)';
        found.push({ file, specifier });
      }
      for (const child of Object.values(node)) walk(child);
    }
  };
  walk(parseAst(text, { lang: file.endsWith('.ts') ? 'ts' : 'js' }));
  return found;
}

/** Whether a file stands in a room, or in the part of it that is named. */
const isIn = (part: string, file: string) =>
  file === part || file.startsWith(`${part}/`) || file.startsWith(`${part}.`);

const sources = files(src).filter((file) => /\.[jt]s$/.test(file));
const imports = sources.flatMap((file) => importsOf(file));
const roomOf = (file: string) => relative(src, file).split('/')[0];

it('sees every kind of import', () => {
  const text = `
    import a from './a.ts'; import type { B } from './b.ts'; import './c.ts';
    export * from './d.ts'; export { e } from './e.ts'; export const own = 1;
    let f: import('./f.ts').F; await import('./g.ts'); await import(name);`;
  expect(
    importsOf('x.ts', text)
      .map(({ specifier }) => specifier)
      .sort(),
  ).toEqual(['(not a literal)', ...[...'abcdefg'].map((name) => `./${name}.ts`)]);
});

it('every room has its place, and every import names a file', () => {
  expect(Object.keys(arrows)).toEqual(expect.arrayContaining(sources.map(roomOf)));
  expect(imports.filter(({ specifier }) => specifier === '(not a literal)')).toEqual([]);
});

it('rooms import only from the rooms they may', () => {
  const wrong = imports.filter(({ file, specifier }) => {
    if (!specifier.startsWith('.')) return false;
    const target = resolve(dirname(file), specifier);
    if (!isIn(src, target) || roomOf(file) === roomOf(target)) return false;
    return !arrows[roomOf(file)]?.some((part) => isIn(part, relative(src, target)));
  });
  expect(wrong.map(({ file, specifier }) => `${relative(root, file)} imports ${specifier}`)).toEqual([]);
});

it('rooms that run anywhere import nothing that runs in one place only', () => {
  const wrong = imports.filter(
    ({ file, specifier }) => anywhere.includes(roomOf(file)) && runsInOnePlace(specifier),
  );
  expect(wrong.map(({ file, specifier }) => `${relative(root, file)} imports ${specifier}`)).toEqual([]);
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
