/** The thread in which a safety checker looks at images that callers send. */
import { parentPort, workerData } from 'node:worker_threads';
import { isUnsafe } from '../generation/image/pipeline.ts';
import { InvalidInputError } from '../generation/parameters.ts';
import type { CheckedImage, CheckerStart, ImageToCheck } from './image-checker.ts';
import { decodeGiven } from './image-decode.ts';
import { loadSafetyChecker } from './image-folder.ts';

const { folder, ...options } = workerData as CheckerStart;
const port = parentPort!;
const loading = loadSafetyChecker(folder, options);
loading.catch(() => {});
// One image after another: each may take as much memory as is allowed.
let before: Promise<void> = Promise.resolve();
port.on('message', ({ id, image }: ImageToCheck) => {
  before = before.then(async () => port.postMessage({ id, ...(await check(image)) } satisfies CheckedImage));
});

async function check(image: string): Promise<Omit<CheckedImage, 'id'>> {
  try {
    const checker = await loading;
    // Small, with its shape: the checker sees all of it.
    const sizeFor = ({ width, height }: { width: number; height: number }) => {
      const scale = checker.size / Math.min(width, height);
      const side = (pixels: number) => Math.min(4 * checker.size, Math.max(1, Math.round(pixels * scale)));
      return { width: side(width), height: side(height) };
    };
    return { unsafe: await isUnsafe(checker, (await decodeGiven({ image }, sizeFor)).image) };
  } catch (error) {
    if (error instanceof InvalidInputError) return { refused: error.message };
    console.error('An image could not be checked:', error);
    return {};
  }
}
