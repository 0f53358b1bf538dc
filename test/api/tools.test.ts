import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadRequest } from '../../src/api/errors.ts';
import { type GenerationEvent, generateRequest } from '../../src/api/events.ts';
import { parseChatCompletionRequest } from '../../src/api/openai.ts';
import { answerChunks, answerHead, wholeAnswer } from '../../src/api/openai-answers.ts';
import { asFunctionCall } from '../../src/api/tool-call-answers.ts';

const user = { role: 'user', content: 'Hi' };
const call = (id: string, name = 'add') => ({ id, type: 'function', function: { name, arguments: '{}' } });
const calling = (...tool_calls: object[]) => ({ role: 'assistant', content: null, tool_calls });
const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: '3' });
const tool = (name: string) => ({ type: 'function', function: { name, parameters: { type: 'object' } } });
const parse = (body: object) => parseChatCompletionRequest({ model: 'm', messages: [user], ...body });

describe('messages', () => {
  it('have calls and results, with the names of what was called', () => {
    const messages = [user, calling(call('a'), call('b')), result('b'), result('a'), user];
    expect(parse({ messages }).inputs).toEqual([
      {
        messages: [
          user,
          { role: 'assistant', content: '', tool_calls: [call('a'), call('b')] },
          { ...result('b'), name: 'add' },
          { ...result('a'), name: 'add' },
          user,
        ],
      },
    ]);
  });

  it('come out of the older form as of the newer', () => {
    const older = [
      user,
      { role: 'assistant', content: null, function_call: { name: 'add', arguments: '{}' } },
      { role: 'function', name: 'add', content: '3' },
    ];
    expect(parse({ messages: older }).inputs).toEqual([
      {
        messages: [
          user,
          { role: 'assistant', content: '', tool_calls: [call('call_1')] },
          { ...result('call_1'), name: 'add' },
        ],
      },
    ]);
  });

  it('of an answer can be sent back as they came', () => {
    const answer = { role: 'assistant', content: 'Hello', refusal: null, annotations: [], audio: null };
    const refusal = { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] };
    const { inputs } = parse({
      messages: [user, { ...answer, tool_calls: null, function_call: null }, refusal],
    });
    expect(inputs).toEqual([
      { messages: [user, { role: 'assistant', content: 'Hello' }, { role: 'assistant', content: 'No.' }] },
    ]);
  });

  it('pass to the service in the form that they have', () => {
    const { inputs } = parse({
      messages: [user, calling(call('a')), result('a')],
      tools: [tool('add')],
      tool_choice: { type: 'function', function: { name: 'add' } },
    });
    const request = { model: 'm', input: inputs[0], parameters: {} };
    expect(generateRequest.parse(JSON.parse(JSON.stringify(request)))).toEqual(request);
  });

  const image = { type: 'image_url', image_url: { url: 'data:,' } };
  it.each<[object[], RegExp, string]>([
    [[result('a')], /answer a call/, 'messages[0].tool_call_id'],
    [[user, calling(call('a')), user], /has to be answered/, 'messages[2].role'],
    [[user, calling(call('a'))], /has to be answered/, 'messages[1].role'],
    [[user, calling(call('a'), call('a')), result('a')], /another call/, 'messages[1].tool_calls[1].id'],
    [[user, calling(call('a')), result('b')], /answer a call/, 'messages[2].tool_call_id'],
    [[user, calling(call('a')), result('a'), result('a')], /each one once/, 'messages[3].tool_call_id'],
    [[{ role: 'function', name: 'add', content: '3' }], /answer a call/, 'messages[0].name'],
    [[{ role: 'assistant', content: null }], /no calls/, 'messages[0].content'],
    [[{ role: 'assistant' }], /no calls/, 'messages[0].content'],
    [[calling({ ...call('a'), type: 'custom' })], /only kind/, 'messages[0].tool_calls[0].type'],
    [[calling(call('a', 'rm -rf'))], /1 to 64 letters/, 'messages[0].tool_calls[0].function.name'],
    [[calling(call(''))], /at least one/, 'messages[0].tool_calls[0].id'],
    [
      [calling({ ...call('a'), function: { name: 'add', arguments: {} } })],
      /string/,
      'messages[0].tool_calls[0].function.arguments',
    ],
    [[{ role: 'user', content: null }], /string/, 'messages[0].content'],
    [[{ role: 'user', content: [image] }], /"image_url" is for models/, 'messages[0].content[0]'],
    [
      [user, { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'input_audio' }] }],
      /"input_audio"/,
      'messages[1].content[1]',
    ],
    [[{ role: 'user', content: [{ type: 'file', file: {} }] }], /"file"/, 'messages[0].content[0]'],
    [
      [{ role: 'user', content: [{ type: 'refusal', refusal: 'No.' }] }],
      /type/,
      'messages[0].content[0].type',
    ],
    [[{ role: 'wizard', content: 'Hi' }], /role/, 'messages[0].role'],
    [[{ role: 'user', content: 'Hi', tool_calls: [call('a')] }], /tool_calls/, 'messages[0].tool_calls'],
    [
      [calling(...Array.from({ length: 129 }, (_, i) => call(`${i}`)))],
      /at most 128/,
      'messages[0].tool_calls',
    ],
  ])('are refused (%#)', (messages, sentence, param) => {
    const refused = refusalOf({ messages });
    expect(refused.message).toMatch(sentence);
    expect(refused.param).toBe(param);
  });
});

describe('tools', () => {
  it('come in two forms', () => {
    const tools = [tool('add'), tool('sub')];
    expect(parse({ tools, tool_choice: 'required', parallel_tool_calls: false })).toMatchObject({
      inputs: [{ messages: [user], tools, tool_choice: 'required', parallel_tool_calls: false }],
      parameters: {},
    });
    const functions = tools.map((each) => each.function);
    expect(parse({ functions, function_call: { name: 'sub' } })).toMatchObject({
      inputs: [
        {
          tools,
          tool_choice: { type: 'function', function: { name: 'sub' } },
          parallel_tool_calls: false,
        },
      ],
      functionCall: true,
    });
    expect(parse({ tool_choice: 'none' }).inputs).toEqual([{ messages: [user], tool_choice: 'none' }]);
  });

  const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`) as object;
  const withParameters = (parameters: unknown) => ({ type: 'function', function: { name: 'a', parameters } });
  const named = (name: string) => ({ type: 'function', function: { name } });
  it.each<[object, RegExp, string]>([
    [{ tools: [] }, /at least one/, 'tools'],
    [{ tools: {} }, /array/, 'tools'],
    [{ tools: Array.from({ length: 129 }, (_, i) => tool(`f${i}`)) }, /at most 128/, 'tools'],
    [{ tools: [tool('a b')] }, /1 to 64 letters/, 'tools[0].function.name'],
    [{ tools: [tool('a'.repeat(65))] }, /1 to 64/, 'tools[0].function.name'],
    [{ tools: [tool('')] }, /1 to 64/, 'tools[0].function.name'],
    [{ tools: [tool('a'), tool('a')] }, /another function/, 'tools[1].function.name'],
    [
      { tools: [{ type: 'custom', custom: { name: 'a' } }] },
      /"custom" is one that wick does not/,
      'tools[0]',
    ],
    [{ tools: [{ type: 'web_search' }] }, /tools/, 'tools[0].type'],
    [{ tools: [withParameters('no')] }, /JSON Schema/, 'tools[0].function.parameters'],
    [{ tools: [withParameters({ type: 'string' })] }, /of an object/, 'tools[0].function.parameters'],
    [{ tools: [withParameters(deep)] }, /at most 64 levels/, 'tools[0].function.parameters'],
    [
      { tools: [withParameters({ enum: ['x'.repeat(100_001)] })] },
      /at most 100000/,
      'tools[0].function.parameters',
    ],
    [{ tools: [tool('a')], tool_choice: 'maybe' }, /tool_choice/, 'tool_choice'],
    [{ tools: [tool('a')], tool_choice: named('b') }, /"b"/, 'tool_choice.function.name'],
    [
      { tools: [tool('a')], tool_choice: { type: 'custom', custom: { name: 'a' } } },
      /tool_choice/,
      'tool_choice.type',
    ],
    [
      {
        tools: [tool('a')],
        tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [named('b')] } },
      },
      /"b"/,
      'tool_choice.allowed_tools.tools[0].function.name',
    ],
    [{ tool_choice: 'required' }, /needs `tools`/, 'tool_choice'],
    [{ parallel_tool_calls: 'yes' }, /parallel_tool_calls/, 'parallel_tool_calls'],
    [{ functions: [{ name: 'a' }], tools: [tool('a')] }, /older form of `tools`/, 'functions'],
    [{ functions: [{ name: 'a' }], tool_choice: 'auto' }, /older form/, 'functions'],
    [{ functions: [{ name: 'a' }], function_call: { name: 'b' } }, /"b"/, 'function_call.name'],
    [{ function_call: { name: 'b' } }, /"b"/, 'function_call.name'],
  ])('are refused (%#)', (body, sentence, param) => {
    const refused = refusalOf(body);
    expect(refused.message).toMatch(sentence);
    expect(refused.param).toBe(param);
  });

  it('of any shape are taken or refused, and nothing else happens', () => {
    const any = fc.record(
      {
        tools: fc.anything(),
        tool_choice: fc.anything(),
        functions: fc.anything(),
        function_call: fc.anything(),
        messages: fc.oneof(
          fc.anything(),
          fc.array(fc.record({ role: fc.constantFrom('assistant', 'tool'), tool_calls: fc.anything() })),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(any, (body) => {
        try {
          parse(body);
        } catch (error) {
          expect(error).toBeInstanceOf(BadRequest);
        }
      }),
    );
  });
});

function refusalOf(body: object): BadRequest {
  try {
    parse(body);
  } catch (error) {
    expect(error).toBeInstanceOf(BadRequest);
    return error as BadRequest;
  }
  throw new Error('It was not refused.');
}

describe('answers with calls', () => {
  async function* events(): AsyncGenerator<GenerationEvent> {
    yield { type: 'start', prompt_tokens: 3 };
    yield { type: 'tool_call', index: 0, call: 0, id: 'call_a', name: 'add', arguments: '{"a"', tokens: [1] };
    yield { type: 'tool_call', index: 0, call: 0, arguments: ': 1}', tokens: [2] };
    yield { type: 'tool_call', index: 0, call: 1, id: 'call_b', name: 'sub', arguments: '{}', tokens: [3] };
    yield { type: 'end', index: 0, finish_reason: 'tool_calls' };
    yield { type: 'done', usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 } };
  }
  const tool_calls = [
    { id: 'call_a', type: 'function', function: { name: 'add', arguments: '{"a": 1}' } },
    { id: 'call_b', type: 'function', function: { name: 'sub', arguments: '{}' } },
  ];

  it('are whole in the one form and in the older', async () => {
    const whole = await wholeAnswer('chat', answerHead('chat', 'm'), events());
    const message = { role: 'assistant', content: null, refusal: null, tool_calls };
    expect(whole).toMatchObject({ choices: [{ message, finish_reason: 'tool_calls' }] });
    const [choice] = (asFunctionCall(whole) as { choices: object[] }).choices;
    expect(choice).toEqual({
      index: 0,
      message: { role: 'assistant', content: null, refusal: null, function_call: tool_calls[0].function },
      logprobs: null,
      finish_reason: 'function_call',
    });
  });

  it('are streamed in deltas that add up', async () => {
    const deltas: unknown[] = [];
    const older: unknown[] = [];
    for await (const chunk of answerChunks('chat', answerHead('chat', 'm'), events(), false)) {
      deltas.push((chunk as { choices: { delta: object }[] }).choices[0].delta);
      older.push((asFunctionCall(chunk) as { choices: { delta: object }[] }).choices[0].delta);
    }
    expect(deltas).toEqual([
      { role: 'assistant', content: '' },
      { tool_calls: [{ index: 0, ...tool_calls[0], function: { name: 'add', arguments: '{"a"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: ': 1}' } }] },
      { tool_calls: [{ index: 1, ...tool_calls[1] }] },
      {},
    ]);
    expect(older.slice(1, 3)).toEqual([
      { function_call: { name: 'add', arguments: '{"a"' } },
      { function_call: { arguments: ': 1}' } },
    ]);
  });
});
