/**
 * Examples of the main routes, as the reference shows them and tests run them: in curl, in Python with nothing but its
 * standard library, and in TypeScript with OpenAI's own package. `ORIGIN` and `MODEL` stand for the Worker's own.
 */

export interface Sample {
  lang: 'Shell' | 'Python' | 'TypeScript';
  label: string;
  source: string;
}

const client = `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: 'ORIGIN/v1', apiKey: 'none' });
`;

const python = (path: string, body: string, print: string): string => `import json
from urllib.request import Request, urlopen

body = ${body}
request = Request('ORIGIN${path}', json.dumps(body).encode(), {'content-type': 'application/json'})
${print}`;

const curl = (label: string, path: string, body: string, options = ''): Sample => ({
  lang: 'Shell',
  label: `curl: ${label}`,
  source: `curl ${options}ORIGIN${path} -H 'content-type: application/json' -d '${body}'`,
});
const py = (label: string, path: string, body: string, print: string): Sample => ({
  lang: 'Python',
  label: `Python: ${label}`,
  source: python(path, body, print),
});
const ts = (label: string, source: string): Sample => ({
  lang: 'TypeScript',
  label: `TypeScript: ${label}`,
  source: `${client}${source}`,
});

const messages = '"messages": [{"role": "user", "content": "Tell a bedtime story about a rabbit."}]';
const rabbit = `messages: [{ role: 'user', content: 'Tell a bedtime story about a rabbit.' }]`;
const said = '"input": "Tell a bedtime story about a rabbit."';
const chatPath = '/v1/chat/completions';
const answered = `with urlopen(request) as answer:
    print(json.load(answer)['choices'][0]['message']['content'])`;
const schema =
  '{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 1, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": false}';
const format = `"response_format": {"type": "json_schema", "json_schema": {"name": "animal", "schema": ${schema}}}`;
const tools =
  '"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": false}}}], "tool_choice": "required"';
/** JSON is Python's own but for these two words. */
const asPython = (json: string): string =>
  json.replaceAll(/: (true|false)\b/g, (_, word) => `: ${word === 'true' ? 'True' : 'False'}`);

/** By method and path, as the table of routes has them. */
export const samples: Readonly<Record<string, readonly Sample[]>> = {
  [`POST ${chatPath}`]: [
    curl('a conversation', chatPath, `{"model": "MODEL", ${messages}, "max_tokens": 60}`),
    py('a conversation', chatPath, `{"model": "MODEL", ${messages}, "max_tokens": 60}`, answered),
    ts(
      'a conversation',
      `const answer = await client.chat.completions.create({ model: 'MODEL', ${rabbit}, max_tokens: 60 });
console.log(answer.choices[0].message.content);`,
    ),
    curl(
      'as it is written',
      chatPath,
      `{"model": "MODEL", ${messages}, "max_tokens": 60, "stream": true}`,
      '-N ',
    ),
    py(
      'as it is written',
      chatPath,
      asPython(`{"model": "MODEL", ${messages}, "max_tokens": 60, "stream": true}`),
      `with urlopen(request) as answer:
    for line in answer:
        if line.startswith(b'data: {'):
            delta = json.loads(line[6:])['choices'][0]['delta']
            print(delta.get('content') or '', end='', flush=True)`,
    ),
    ts(
      'as it is written',
      `const stream = await client.chat.completions.create({ model: 'MODEL', ${rabbit}, max_tokens: 60, stream: true });
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');`,
    ),
    curl('held to a JSON Schema', chatPath, `{"model": "MODEL", ${messages}, ${format}, "max_tokens": 60}`),
    py(
      'held to a JSON Schema',
      chatPath,
      asPython(`{"model": "MODEL", ${messages}, ${format}, "max_tokens": 60}`),
      answered.replace(
        "print(json.load(answer)['choices'][0]['message']['content'])",
        "print(json.loads(json.load(answer)['choices'][0]['message']['content']))",
      ),
    ),
    ts(
      'held to a JSON Schema',
      `const schema = ${schema};
const answer = await client.chat.completions.create({
  model: 'MODEL',
  ${rabbit},
  response_format: { type: 'json_schema', json_schema: { name: 'animal', schema } },
  max_tokens: 60,
});
console.log(JSON.parse(answer.choices[0].message.content!));`,
    ),
    curl('calling a function', chatPath, `{"model": "MODEL", ${messages}, ${tools}, "max_tokens": 60}`),
    py(
      'calling a function',
      chatPath,
      asPython(`{"model": "MODEL", ${messages}, ${tools}, "max_tokens": 60}`),
      `with urlopen(request) as answer:
    print(json.load(answer)['choices'][0]['message']['tool_calls'][0]['function'])`,
    ),
    ts(
      'calling a function',
      `const answer = await client.chat.completions.create({
  model: 'MODEL',
  ${rabbit},
  ${tools.replace('"tools":', 'tools:').replace('"tool_choice":', 'tool_choice:')},
  max_tokens: 60,
});
console.log(answer.choices[0].message.tool_calls);`,
    ),
  ],
  'POST /v1/responses': [
    curl('a response', '/v1/responses', `{"model": "MODEL", ${said}, "max_output_tokens": 60}`),
    py(
      'a response, and how it goes on',
      '/v1/responses',
      `{"model": "MODEL", ${said}, "max_output_tokens": 60}`,
      `with urlopen(request) as answer:
    first = json.load(answer)
print(first['output'][0]['content'][0]['text'])

request.data = json.dumps({**body, 'previous_response_id': first['id'], 'input': 'Go on.'}).encode()
with urlopen(request) as answer:
    print(json.load(answer)['output'][0]['content'][0]['text'])`,
    ),
    ts(
      'a response, and how it goes on',
      `const wish = { model: 'MODEL', max_output_tokens: 60 };
const first = await client.responses.create({ ...wish, input: 'Tell a bedtime story about a rabbit.' });
const next = await client.responses.create({ ...wish, previous_response_id: first.id, input: 'Go on.' });
console.log(first.output_text, next.output_text);`,
    ),
    ts(
      'a response as it is written',
      `const stream = client.responses.stream({ model: 'MODEL', input: 'Tell a bedtime story about a rabbit.', max_output_tokens: 60 });
stream.on('response.output_text.delta', ({ delta }) => process.stdout.write(delta));
await stream.finalResponse();`,
    ),
  ],
  'POST /v1/embeddings': [
    curl('vectors', '/v1/embeddings', '{"model": "MODEL", "input": ["a rabbit", "a hare"]}'),
    py(
      'vectors',
      '/v1/embeddings',
      '{"model": "MODEL", "input": ["a rabbit", "a hare"]}',
      `with urlopen(request) as answer:
    a, b = (each['embedding'] for each in json.load(answer)['data'])
print(sum(x * y for x, y in zip(a, b)))`,
    ),
    ts(
      'vectors',
      `const { data } = await client.embeddings.create({ model: 'MODEL', input: ['a rabbit', 'a hare'] });
console.log(data.map(({ embedding }) => embedding.length));`,
    ),
  ],
  'POST /v1/moderations': [
    curl('what texts are', '/v1/moderations', '{"input": ["We baked bread.", "I will kill you."]}'),
    py(
      'what texts are',
      '/v1/moderations',
      '{"input": ["We baked bread.", "I will kill you."]}',
      `with urlopen(request) as answer:
    for result in json.load(answer)['results']:
        print(result['flagged'], [name for name, there in result['categories'].items() if there])`,
    ),
    ts(
      'what texts are',
      `const { results } = await client.moderations.create({ input: ['We baked bread.', 'I will kill you.'] });
for (const { flagged, category_scores } of results) console.log(flagged, category_scores.violence);`,
    ),
  ],
  'POST /v1/images/generations': [
    curl('an image', '/v1/images/generations', '{"prompt": "red apple", "size": "128x128", "seed": 1}'),
    py(
      'an image',
      '/v1/images/generations',
      '{"prompt": "red apple", "size": "128x128", "seed": 1}',
      `import base64

with urlopen(request) as answer, open('apple.png', 'wb') as file:
    file.write(base64.b64decode(json.load(answer)['data'][0]['b64_json']))
print('apple.png')`,
    ),
    ts(
      'an image',
      `const { data } = await client.images.generate({ prompt: 'red apple', size: '256x256' });
console.log(Buffer.from(data![0].b64_json!, 'base64').length);`,
    ),
  ],
  'POST /text': [
    { lang: 'Shell', label: 'curl: a text', source: "curl -N ORIGIN/text -d 'Once upon a time'" },
    {
      lang: 'Python',
      label: 'Python: a text',
      source: `from urllib.request import urlopen

with urlopen('ORIGIN/text?max_tokens=60', b'Once upon a time') as answer:
    for line in answer:
        print(line.decode(), end='')`,
    },
    {
      lang: 'TypeScript',
      label: 'TypeScript: a text',
      source: `const answer = await fetch('ORIGIN/text?max_tokens=60', { method: 'POST', body: 'Once upon a time' });
for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) process.stdout.write(piece);`,
    },
  ],
  'GET /image/:prompt{.+}': [
    {
      lang: 'Shell',
      label: 'curl: an image at its address',
      source: "curl -o apple.png 'ORIGIN/image/red%20apple.png?seed=1&size=128x128'",
    },
  ],
};
