import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { freePort, type Started, secret, startWorker, until } from '../edge/worker.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { tinyImageModel } from '../fixtures/tiny-images.ts';
import { ended, run, start } from './run-wick.ts';

const model = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
let url: string;
beforeAll(async () => {
  service = await startService('--models', await tinyImageModel());
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  url = worker.url.href;
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

let other: Server | undefined;
afterEach(async () => {
  other?.closeAllConnections();
  await new Promise((resolve) => (other ? other.close(resolve) : resolve(undefined)));
  other = undefined;
});
/** A server that is not ours. Returns its address. */
async function listen(answer: RequestListener): Promise<string> {
  other = createServer(answer);
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  return `http://127.0.0.1:${(other.address() as { port: number }).port}`;
}
const bodyOf = async (request: IncomingMessage) =>
  JSON.parse(Buffer.concat(await request.toArray()).toString() || 'null');

const greedy = ['--temperature', '0', '--max-tokens', '10'];
const atServer = () => ['--url', url];

test('a server writes what the folder writes, streamed and in JSON, with what else is told', async () => {
  const ways = [
    ['Once upon a time'],
    ['Tell a story.', '--chat'],
    ['Once', '--set', 'n=2', '--set', 'top_logprobs=2', '--temperature', '1', '--seed', '3'],
  ];
  for (const way of ways) {
    const args = ['generate', ...greedy, ...way];
    const [here, there, json, jsonThere] = await Promise.all([
      run(args),
      run([...args, '--url', new URL('/v1', url).href, '--model', model]),
      run([...args, '--json']),
      run([...args, '--json'], { env: { WICK_URL: url } }),
    ]);
    expect(there).toEqual(here);
    expect(here).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/\w.*\n$/s) });
    const [local, remote] = [json, jsonThere].map(({ stdout }) => JSON.parse(stdout));
    expect(jsonThere.stdout.trim().split('\n')).toHaveLength(1);
    expect(remote).toMatchObject({ model, usage: local.usage });
    const texts = (answer: typeof local) =>
      (answer.choices ?? [answer]).map((each: { text: string; finish_reason: string }) => [
        each.text,
        each.finish_reason,
      ]);
    expect(texts(remote)).toEqual(texts(local));
    if (local.choices) {
      const [a, b] = [local, remote].map(({ choices }) => choices[1].logprobs);
      expect(b).toHaveLength(a.length);
      for (const [i, token] of b.entries()) {
        expect(token.text).toBe(a[i].text);
        expect(token.logprob).toBeCloseTo(a[i].logprob, 3);
        expect(token.top).not.toHaveLength(0);
      }
    }
  }
});

test('the best of several is written by a server, too', async () => {
  const args = ['generate', 'Once', '--max-tokens', '5', '--seed', '1', '--set', 'best_of=3'];
  const [here, there] = await Promise.all([run(args), run([...args, ...atServer()])]);
  expect(there).toEqual(here);
});

test('a prompt is its words, and what is piped', async () => {
  const prompts: unknown[] = [];
  const address = await listen(async (request, response) => {
    prompts.push((await bodyOf(request)).prompt);
    response.setHeader('content-type', 'text/event-stream');
    response.end('data: {"choices":[{"index":0,"text":"!","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
  });
  const ask = (words: string[], input?: string | Uint8Array) =>
    run(['generate', '--url', address, '--model', 'x', ...words], { input });
  for (const [words, input] of [
    [[], 'Piped.\n'],
    [['-'], 'Piped.'],
    [['Sum', 'up:'], 'Piped.\r\n'],
    [['Sum up', '-', 'in a word:'], 'Piped.\n'],
    [['Alone']],
  ] as [string[], string?][])
    expect(await ask(words, input)).toEqual({ code: 0, stdout: '!\n', stderr: '' });
  expect(prompts).toEqual(['Piped.', 'Piped.', 'Sum up:\n\nPiped.', 'Sum up Piped. in a word:', 'Alone']);
  expect(await ask([], new Uint8Array([0x61, 0xff]))).toMatchObject({ code: 1, stderr: /UTF-8/ });
  expect(await ask([], 'x'.repeat(4_000_001))).toMatchObject({ code: 1, stderr: /larger than/ });
  expect(prompts).toHaveLength(5);
});

const key = 'sk-a-key-that-nobody-sees';
test.each([
  ['--key KEY', ['--key', key], {}],
  ['--key=KEY', [`--key=${key}`], {}],
  ['WICK_KEY', [], { WICK_KEY: key }],
])('%s goes to the server and nowhere else', async (_, args, env) => {
  const said: (string | undefined)[] = [];
  let list = '';
  const address = await listen((request, response) => {
    said.push(request.headers.authorization);
    list = readFileSync(`/proc/${child.pid}/cmdline`, 'latin1');
    response.writeHead(401).end(JSON.stringify({ error: { message: `Incorrect key: ${key}\u001b[31m` } }));
  });
  const child = start(['models', '--url', address, ...args], { env });
  const { code, stdout, stderr } = await ended(child);
  expect({ code, said }).toEqual({ code: 1, said: [`Bearer ${key}`] });
  expect(stderr).toMatch(/^wick: 127\.0\.0\.1:\d+ answers 401: Incorrect key: …\n$/);
  expect(stdout + list).not.toContain(key);
  expect(list).toMatch(/wick/);
});

const sse = { 'content-type': 'text/event-stream' };
const chunk = 'data: {"choices":[{"index":0,"text":"Hello"}]}\n\n';
const done = 'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\n';
const hostile: [what: string, stdout: string, stderr: RegExp, answer: RequestListener][] = [
  [
    'cuts its stream',
    'Hello\n',
    /broke off/,
    (_, response) => {
      response.writeHead(200, sse).write(chunk);
      setTimeout(() => response.destroy(), 50);
    },
  ],
  [
    'ends its stream without [DONE]',
    'Hello\n',
    /broke off/,
    (_, response) => void response.writeHead(200, sse).end(chunk + done),
  ],
  [
    'ends its stream without an end',
    'Hello\n',
    /without having finished/,
    (_, response) => void response.writeHead(200, sse).end(`${chunk}data: [DONE]\n\n`),
  ],
  [
    'ends its stream in an error',
    'Hello\n',
    /fails: The GPU is gone\.\n$/,
    (_, response) =>
      void response.writeHead(200, sse).end(`${chunk}data: {"error":{"message":"The GPU is gone"}}\n\n`),
  ],
  [
    'streams no JSON',
    'Hello\n',
    /not JSON/,
    (_, response) => void response.writeHead(200, sse).end(`${chunk}data: {"choices\n\n`),
  ],
  [
    'streams another form',
    '',
    /form that is not OpenAI's/,
    (_, response) =>
      void response.writeHead(200, sse).end('data: {"choices":[{"index":-1e9,"text":"x"}]}\n\n'),
  ],
  [
    'streams without an end',
    '',
    /more than 4000000 characters/,
    (_, response) => {
      response.writeHead(200, sse).write('data: ');
      response.end('x'.repeat(4_100_000));
    },
  ],
  [
    'answers with an error and status 200',
    '',
    /fails: Overloaded\.\n$/,
    (_, response) => void response.end('{"error":"Overloaded."}'),
  ],
  [
    'answers with a page',
    '',
    /not JSON; is http.* the right address\?\n$/,
    (_, response) => void response.end('<html>hello</html>'),
  ],
  [
    'has no such path',
    '',
    /answers 404: Not Found\.\n$/,
    (_, response) => void response.writeHead(404).end('<html>Not here</html>'),
  ],
  [
    'is busy',
    '',
    /answers 503: Busy\. Ask again in 7 s\.\n$/,
    (_, response) =>
      void response.writeHead(503, { 'retry-after': '7' }).end('{"object":"error","message":"Busy."}'),
  ],
  [
    'sends on',
    '',
    /sends on to https:\/\/elsewhere\.example/,
    (_, response) => void response.writeHead(307, { location: 'https://elsewhere.example/v1' }).end(),
  ],
];
test.each(hostile)('a server that %s is a failure that is told', async (_, stdout, stderr, answer) => {
  const address = await listen(answer);
  const args = ['generate', 'Hi', '--model', 'x', '--url', address];
  const [plain, json] = await Promise.all([run(args), run([...args, '--json'])]);
  expect(plain).toEqual({ code: 1, stdout, stderr: expect.stringMatching(stderr) });
  expect(json).toEqual({ ...plain, stdout: '' });
});

test.each([
  [['generate', 'x', '--url', 'localhost:8787'], 1, /http:\/\/host:8787/],
  [['generate', 'x', '--url', 'http://me:secret@host'], 1, /not right/],
  [['generate', 'x', '--url', 'ftp://host'], 1, /not right/],
  [['generate', 'x', '--url', 'http://localhost:1', '--key', 'a b'], 1, /printable/],
  [
    ['generate', 'x', '--url', 'http://localhost:1', '--threads', '2'],
    2,
    /--threads is about a model on this/,
  ],
  [['generate', 'x', '--url', 'http://127.0.0.1:PORT', '--model', 'x'], 1, /nothing listens there/],
  [['models', '--url', 'http://127.0.0.1:PORT'], 1, /nothing listens there/],
  [['models', '--url', 'http://localhost:1', '--models', 'x'], 2, /--models is about/],
  [['draw', 'x', '--url', 'http://127.0.0.1:PORT'], 1, /nothing listens there/],
  [['chat', '--set', 'n=2'], 1, /`n` is not for a conversation/],
  [['generate', 'x', '--url', 'URL', '--model', 'nobody'], 1, /answers 404: There is no model "nobody"/],
  [['generate', 'x', '--url', 'URL', '--temperature', '9'], 1, /answers 400: .*temperature/],
  [['draw', 'x', '--url', 'URL', '--model', 'nobody'], 1, /nobody/],
] as [string[], number, RegExp][])('%j ends with its code and a sentence', async (args, code, stderr) => {
  const port = String(await freePort());
  const result = await run(args.map((arg) => arg.replace('PORT', port).replace('URL', url)));
  expect(result).toEqual({ code, stdout: '', stderr: expect.stringMatching(stderr) });
  expect(result.stderr).toMatch(/^wick: /);
  expect(result.stderr).not.toMatch(/\n\s+at |undefined/);
});

test('Ctrl-C ends the request at the server, and what was shown stays', async () => {
  const closed = Promise.withResolvers<void>();
  const address = await listen((_, response) => {
    response.on('close', () => closed.resolve());
    response.writeHead(200, sse).write(chunk);
  });
  const child = start(['generate', 'Hi', '--model', 'x', '--url', address]);
  child.stdout.once('data', () => child.kill('SIGINT'));
  expect(await ended(child)).toEqual({ code: 130, stdout: 'Hello\n', stderr: '' });
  await closed.promise;

  const long = ['generate', 'Once', '--max-tokens', '400', '--set', 'ignore_eos=true', ...atServer()];
  const leaving = start(long);
  leaving.stdout.once('data', () => leaving.kill('SIGINT'));
  expect(await ended(leaving)).toMatchObject({ code: 130, stderr: '' });
  await until('an idle isolate', async () => {
    const { edge } = (await (await fetch(new URL('/health', url))).json()) as { edge: { running: number } };
    return edge.running === 0;
  });
});

test("a server's only model is taken where none is named; of several one has to be", async () => {
  let names = ['only'];
  const asked: unknown[] = [];
  const address = await listen(async (request, response) => {
    if (request.url === '/v1/models')
      return response.end(JSON.stringify({ data: names.map((id) => ({ id })) }));
    asked.push((await bodyOf(request)).model);
    response.writeHead(200, sse).end(`${chunk}${done}data: [DONE]\r\n\r\n`);
  });
  const ask = () => run(['generate', 'Hi', '--url', address]);
  expect(await ask()).toEqual({ code: 0, stdout: 'Hello\n', stderr: '' });
  names = ['a', 'b'];
  expect(await ask()).toMatchObject({ code: 1, stderr: /Name a model with --model: .* has a, b\./ });
  expect(asked).toEqual(['only']);
});

test('a conversation remembers, forgets and fails in sentences, here and at a server', async () => {
  const lines = ['Hello.', '/system Be brief.', 'Again.', '/reset', 'Once more.', '/nonsense', '', '//x'];
  const input = `${lines.join('\n')}\n`;
  const args = ['chat', '--temperature', '0', '--max-tokens', '6', '--json'];
  const [here, there] = await Promise.all([run(args, { input }), run([...args, ...atServer()], { input })]);
  expect(there).toEqual(here);
  expect(here.code).toBe(1);
  expect(here.stderr).toBe('wick: There is no /nonsense. There is: /help, /reset, /system.\n');
  const answers = here.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(answers).toHaveLength(4);

  const seen: { messages: object[] }[] = [];
  const address = await listen(async (request, response) => {
    seen.push(await bodyOf(request));
    if (seen.length === 2) return response.writeHead(400).end('{"error":{"message":"Too long."}}');
    const delta = JSON.stringify({ choices: [{ index: 0, delta: { content: `answer ${seen.length}` } }] });
    response.writeHead(200, sse).end(`data: ${delta}\n\n${done}data: [DONE]\n\n`);
  });
  const talk = ['chat', '--url', address, '--model', 'x', '--system', 'Be kind.'];
  const told = await run(talk, { input: 'a\nb\nc\n/reset\n/system\n//d' });
  expect(told).toMatchObject({ code: 1, stdout: 'answer 1\nanswer 3\nanswer 4\n' });
  expect(told.stderr).toMatch(/^wick: .* answers 400: Too long\.\n$/);
  const system = { role: 'system', content: 'Be kind.' };
  const user = (content: string) => ({ role: 'user', content });
  expect(seen.map(({ messages }) => messages)).toEqual([
    [system, user('a')],
    [system, user('a'), { role: 'assistant', content: 'answer 1' }, user('b')],
    [system, user('a'), { role: 'assistant', content: 'answer 1' }, user('c')],
    [user('/d')],
  ]);
});

test("a server's models are listed", async () => {
  const [told, json] = await Promise.all([
    run(['models', ...atServer()]),
    run(['models', ...atServer(), '--json']),
  ]);
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toMatch(
    /^Llama-wick-3M {2}of wick, edge\ntiny-draw {2}of wick, image, service, loaded on the service\n$/,
  );
  expect(JSON.parse(json.stdout).models).toMatchObject([{ id: model }, { id: 'tiny-draw' }]);
});

test('a server draws: the same for the same seed, more than one, from an image, on a sheet', async () => {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder, name);
  const draw = (...more: string[]) => run(['draw', 'red square', ...atServer(), '--json', ...more]);
  const same = ['--seed', '3', '--steps', '2', '--size', '80x64'];
  const first = await draw('-o', path('a.png'), '-n', '2', ...same);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(first.stdout)).toMatchObject({
    ...{ model: 'tiny-draw', prompt: 'red square' },
    images: [
      { file: path('a.png'), width: 80, height: 64, seed: 3, steps: 2 },
      { file: path('a-2.png'), seed: 4 },
    ],
  });
  expect(await draw('-o', path('b.png'), ...same)).toMatchObject({ code: 0 });
  expect(readFileSync(path('b.png')).equals(readFileSync(path('a.png')))).toBe(true);
  expect(readFileSync(path('a-2.png')).equals(readFileSync(path('a.png')))).toBe(false);

  const edit = ['--image', path('a.png'), '--mask', path('a.png'), '--strength', '0.5', '--steps', '4'];
  expect(await draw('-o', path('c.webp'), '--quality', '50', ...edit)).toMatchObject({ code: 0, stderr: '' });
  expect((await sharp(path('c.webp')).metadata()).format).toBe('webp');
  expect(await draw('-o', path('d.png'), '--mask', path('a.png'))).toMatchObject({ code: 1, stdout: '' });

  writeFileSync(path('prompts.txt'), 'red\nblue\n');
  const sheet = await run([
    'draw',
    '--sheet',
    path('prompts.txt'),
    '-o',
    path('e.png'),
    ...atServer(),
    '--size',
    '64x64',
    '--steps',
    '1',
  ]);
  expect(sheet).toMatchObject({ code: 0, stderr: '', stdout: `${path('e.png')}: 2 images\n` });
});

test('an image handed over by its address is fetched without the key, and made what was asked for', async () => {
  const authorizations: (string | undefined)[] = [];
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  let answer = '{"data":[{"url":"/picture"}]}';
  const address = await listen((request, response) => {
    authorizations.push(request.headers.authorization);
    if (request.url === '/picture') response.end(picture);
    else response.end(answer);
  });
  const file = join(temporaryFolder(), 'x.jpg');
  const draw = () => run(['draw', 'x', '--url', address, '--key', key, '-o', file]);
  expect(await draw()).toMatchObject({ code: 0, stdout: expect.stringMatching(/x\.jpg: 8x8, [\d.]+ s\n$/) });
  expect((await sharp(file).metadata()).format).toBe('jpeg');
  expect(authorizations).toEqual([`Bearer ${key}`, undefined]);
  for (const [said, stderr] of [
    ['{"data":[]}', /form that is not OpenAI's/],
    ['{"data":[{"b64_json":null}]}', /without an image/],
    ['{"data":[{"b64_json":"aGVsbG8="}]}', /cannot be read/],
    ['{"data":[{"url":"file:///etc/hostname"}]}', /address that is none/],
    ['{"data":[{"url":"http://127.0.0.1:1/x"}]}', /cannot be fetched/],
  ] as const) {
    answer = said;
    expect(await draw()).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(stderr) });
  }
});
