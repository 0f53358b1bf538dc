import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { ended } from './run-wick.ts';

const bench = new URL('../../scripts/bench.ts', import.meta.url).pathname;

it.each([
  [[], 2, /^Usage: .*There is: .*edge.*train/],
  [['--help'], 0, /^Usage: .*There is: .*edge.*train/],
  [['nonsense', '--json'], 2, /^There is no benchmark "nonsense"\. .*There is: .*edge.*train/],
  [['../bench'], 2, /^There is no benchmark/],
  [['train', '--nonsense'], 2, /^bench train: Unknown option '--nonsense'/],
  [['image', '--model', 'nowhere'], 1, /^bench image: .*nowhere.*model_index\.json/],
  [['train', '--config', 'nowhere.json', '--json'], 1, /^bench train: .*nowhere\.json/],
])('bench %j ends with its code and a sentence', async (args, code, message) => {
  const result = await ended(spawn(process.execPath, [bench, ...args]));
  expect(result).toMatchObject({ code, stdout: '' });
  expect(result.stderr).toMatch(message);
  expect(result.stderr).not.toMatch(/\n\s+at /);
});
