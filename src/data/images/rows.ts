/** Images and what is said of them: the rows of JSONL files, or image files with a caption beside them. */
import { createReadStream, existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, relative, sep } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { ReportProblem } from '../problems.ts';

/** File name endings taken for images where no JSONL names them. What a named file is, its bytes tell. */
const imageEndings = new Set([
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
  '.avif',
  '.gif',
  '.tif',
  '.tiff',
  '.heif',
  '.bmp',
]);

export interface ImageRow {
  /** The image file. */
  path: string;
  /** Its name in the data set: from the source's folder on. */
  name: string;
  /** Captions as they were given: used word for word. */
  captions: string[];
  /** What the image shows, where it has a name: captions are made of it. */
  title?: string;
  /** Other words for it. */
  keywords: string[];
  /** All fields of its row, for options that choose by them. */
  fields: Readonly<Record<string, unknown>>;
}

const text = z.string().trim().min(1).max(4000);
const rowSchema = z
  .looseObject({
    file: text.optional(),
    file_name: text.optional(),
    image: text.optional(),
    caption: text.optional(),
    text: text.optional(),
    captions: z.array(text).max(1000).optional(),
    name: text.optional(),
    keywords: z.array(z.string().trim()).max(1000).optional(),
  })
  .refine(({ file, file_name, image }) => file ?? file_name ?? image, 'has no "file" (or "file_name")')
  .refine(
    ({ caption, text, captions, name }) => caption ?? text ?? captions?.[0] ?? name,
    'has no "caption" (or "text", "captions", "name")',
  );

/**
 * The rows of sources, one after the other: JSONL files, or folders. In a folder with JSONL files these are read;
 * otherwise every image in it is a row, with the caption in the .txt file of its name, or else its name in words.
 * What cannot be read is reported and passed over.
 */
export async function* readRows(sources: readonly string[], report: ReportProblem): AsyncGenerator<ImageRow> {
  for (const source of sources) {
    if (!existsSync(source)) {
      report({ source, kind: 'nothing found', detail: 'There is no such file or folder.' });
      continue;
    }
    if (!statSync(source).isDirectory()) {
      yield* rowsOfTable(source, report);
      continue;
    }
    const files = filesBelow(source);
    const tables = files.filter((path) => /\.(jsonl|ndjson)$/i.test(path));
    const images = files.filter((path) => imageEndings.has(extname(path).toLowerCase()));
    if (tables.length === 0 && images.length === 0) {
      report({ source, kind: 'nothing found', detail: 'The folder holds no images and no JSONL files.' });
    }
    for (const table of tables) yield* rowsOfTable(table, report);
    if (tables.length === 0) for (const path of images) yield plainRow(source, path);
  }
}

/** Files in a folder and below it, sorted; hidden ones and what links lead back to are passed over. */
function filesBelow(folder: string, entered = new Set<string>()): string[] {
  const real = realpathSync(folder);
  if (entered.has(real)) return [];
  entered.add(real);
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      const stats = statSync(path, { throwIfNoEntry: false });
      if (!stats) return [];
      return stats.isDirectory() ? filesBelow(path, entered) : [path];
    });
}

function plainRow(folder: string, path: string): ImageRow {
  const beside = `${path.slice(0, -extname(path).length)}.txt`;
  const written = existsSync(beside) ? readFileSync(beside, 'utf8').trim() : '';
  const words = basename(path, extname(path)).replaceAll(/[-_.\s]+/g, ' ');
  return {
    path,
    name: relative(folder, path),
    captions: [written || words],
    keywords: [],
    fields: {},
  };
}

/** Characters of the longest line that is read as a row. */
const LINE_LIMIT = 1_000_000;

async function* rowsOfTable(table: string, report: ReportProblem): AsyncGenerator<ImageRow> {
  const folder = dirname(table);
  let byName: Map<string, string> | undefined;
  const find = (file: string): string | undefined => {
    const path = join(folder, file);
    // A row names files of its own folder, not of the whole machine.
    if (!relative(folder, path).startsWith(`..${sep}`) && existsSync(path)) return path;
    byName ??= new Map(filesBelow(folder).map((path) => [basename(path), path]));
    return byName.get(basename(file));
  };
  let line = 0;
  for await (const content of createInterface({ input: createReadStream(table, 'utf8') })) {
    line++;
    if (content.trim() === '') continue;
    const source = `${table}#${line}`;
    if (content.length > LINE_LIMIT) {
      report({ source, kind: 'too long', detail: `The line has ${content.length} characters.` });
      continue;
    }
    let json: unknown;
    try {
      json = JSON.parse(content);
    } catch {
      report({ source, kind: 'broken record', detail: 'The line is not JSON.' });
      continue;
    }
    const { success, data, error } = rowSchema.safeParse(json);
    if (!success) {
      const [{ path, message }] = error.issues;
      report({ source, kind: 'broken record', detail: `${path.join('.') || 'The row'}: ${message}.` });
      continue;
    }
    const file = (data.file ?? data.file_name ?? data.image)!;
    const path = find(file);
    if (!path) {
      report({ source, kind: 'nothing found', detail: `There is no image ${file} in ${folder}.` });
      continue;
    }
    const captions = [data.caption, data.text, ...(data.captions ?? [])].filter((text) => text !== undefined);
    yield {
      path,
      name: relative(folder, path),
      captions,
      title: captions.length > 0 ? undefined : data.name,
      keywords: (data.keywords ?? []).filter(Boolean),
      fields: data,
    };
  }
}
