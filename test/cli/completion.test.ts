import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { commands } from '../../src/cli/main.ts';
import { ended, run, wick } from './run-wick.ts';

/** What is offered for the last of the words, as a shell's script asks. */
async function offered(words: string[], env?: Record<string, string>): Promise<string[]> {
  const { code, stdout, stderr } = await run(['complete', '--', ...words], { env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.pop()).toMatch(/^:\d+$/);
  return lines.map((line) => line.split('\t')[0]);
}

it('offers all commands, and those that begin so', async () => {
  expect(await offered([''])).toEqual([...Object.keys(commands), 'complete']);
  expect(await offered(['prep'])).toEqual(['prepare', 'prepare-images', 'prepare-labels', 'prepare-tags']);
});

it.each([
  [
    ['generate', '--top'],
    ['--top-k', '--top-p'],
  ],
  [
    ['generate', '--device', ''],
    ['auto', 'cpu', 'webgpu', 'cuda'],
  ],
  [
    ['draw', '--scheduler=eu'],
    ['euler', 'euler_a'],
  ],
  [
    ['generate', '--model', ''],
    ['models/Llama-wick-3M/', 'models/wick-draw/', 'models/wick-guard/', 'models/wick-tagger/'],
  ],
  [['quantize', 'models/Ll'], ['models/Llama-wick-3M/']],
  [['train', 'package.'], ['package.json']],
  [['train', '/nowhere/'], []],
  [['eval', 'bits'], ['bits-per-byte']],
  [['eval', 'bits-per-byte', '--mod'], ['--model']],
  [['complete', 'z'], ['zsh']],
  [['generate', 'models/'], []],
  [['nonsense', '--m'], []],
  [['__proto__', ''], []],
])('%j is followed by %j', async (words, expected) => {
  expect(await offered(words)).toEqual(expected);
});

it('offers the models of a server, and none where nobody answers', async () => {
  const server = createServer((_, response) => response.end('{"data":[{"id":"a/one"},{"id":"two"}]}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await offered(['generate', '--url', url, '--model', ''])).toEqual(['a/one', 'two']);
  expect(await offered(['chat', '--model=t'], { WICK_URL: url })).toEqual(['two']);
  await new Promise((resolve) => server.close(resolve));
  expect(await offered(['generate', '--url', url, '--model', ''])).toEqual([]);
});

it('completes in bash', async () => {
  const line = ['wick', 'generate', '--devi'];
  const script = `
    wick() { "${process.execPath}" "${wick}" "$@"; }
    _get_comp_words_by_ref() { words=(${line.join(' ')}); cword=2; cur=--devi; prev=generate; }
    compopt() { :; }
    source <(wick complete bash)
    complete -p wick
    __wick_complete
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await ended(spawn('bash', ['-c', script]));
  expect(stderr).toBe('');
  expect(stdout).toBe('complete -F __wick_complete wick\n--device\n');
});

it.each(['zsh', 'fish', 'powershell'])('has a script for %s', async (shell) => {
  const { code, stdout, stderr } = await run(['complete', shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/wick complete( '--'| --|)/);
});

it.each([[[]], [['tcsh']], [['zsh', 'more']]])('wick complete %j is not understood', async (args) => {
  expect(await run(['complete', ...args])).toEqual({
    ...{ code: 2, stdout: '' },
    stderr: 'wick: Say for which shell: wick complete bash | zsh | fish | powershell.\n',
  });
});
