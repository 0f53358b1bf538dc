import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { PrepareOptions } from '../../src/data/prepare.ts';
import { createRandom } from '../../src/data/random.ts';

/** A folder that is gone after the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'wick-data-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const names = ['Mira', 'Tom', 'Asha', 'Old Ben', 'the fox', 'a sailor', 'her uncle', 'the smith'];
const deeds = ['found', 'lost', 'heard', 'built', 'followed', 'hid', 'forgot', 'painted', 'carried', 'sold'];
const things = [
  'lamp',
  'map',
  'song',
  'boat',
  'river',
  'letter',
  'key',
  'garden',
  'bridge',
  'drum',
  'mirror',
];
const links = ['After that', 'In the morning', 'When it rained', 'At last', 'Before long', 'While they ate'];
const joints = ['near', 'behind', 'under', 'because of', 'far from', 'in spite of', 'instead of', 'like'];
const syllables = ['ba', 'ren', 'mo', 'lis', 'ka', 'tor', 've', 'nu', 'shi', 'dal', 'po', 'wen'];

/** A story of plain sentences, different for each seed. */
export function story(seed: number, sentences = 14): string {
  const random = createRandom(seed);
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)];
  const place = () => {
    const name = pick(syllables) + pick(syllables) + pick(syllables);
    return name[0].toUpperCase() + name.slice(1);
  };
  const lines = Array.from(
    { length: sentences },
    () =>
      `${pick(links)}, ${pick(names)} ${pick(deeds)} the ${pick(things)} of ${place()} ${pick(joints)} a ${pick(things)}, and ${pick(names)} ${pick(deeds)} it in ${place()}.`,
  );
  const half = sentences >> 1;
  return `${lines.slice(0, half).join(' ')}\n\n${lines.slice(half).join(' ')}`;
}

export const stories = (count: number, from = 1) => Array.from({ length: count }, (_, i) => story(from + i));

export const baseOptions: Omit<PrepareOptions, 'sources' | 'out'> = {
  vocabSize: 320,
  validation: 0.1,
  seed: 1,
  contextLength: 128,
  language: 'en',
  kind: 'prose',
};
