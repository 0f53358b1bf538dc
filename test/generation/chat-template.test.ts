import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../src/generation/chat-message.ts';
import { createChatTemplate } from '../../src/generation/chat-template.ts';
import { chatTemplates } from '../fixtures/chat-templates.ts';

const tools = [
  {
    type: 'function' as const,
    function: {
      name: 'get_weather',
      description: 'How the weather is.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      strict: true,
    },
  },
];
const call = (id: string, city: string) => ({
  id,
  type: 'function' as const,
  function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
});
const user: ChatMessage = { role: 'user', content: 'How is it in Oslo?' };
const calling: ChatMessage = { role: 'assistant', content: '', tool_calls: [call('call_1', 'Oslo')] };
const result: ChatMessage = {
  role: 'tool',
  content: 'It rains.',
  tool_call_id: 'call_1',
  name: 'get_weather',
};
const conversation = [user, calling, result];
const parallel: ChatMessage[] = [
  user,
  { role: 'assistant', content: 'Both.', tool_calls: [call('call_1', 'Oslo'), call('call_2', 'Rome')] },
  result,
  { ...result, content: 'Sun.', tool_call_id: 'call_2' },
];

const render = (family: keyof typeof chatTemplates, messages: ChatMessage[], told = tools) =>
  createChatTemplate({ chat_template: chatTemplates[family], bos_token: '<s>', eos_token: '</s>' }).render(
    messages,
    { tools: told },
  );

describe('a conversation with tools in the form of', () => {
  it('Qwen, Hermes and SmolLM: arguments as an object', () => {
    const text = render('qwen', conversation);
    expect(text).toContain('<tools>\n{"type": "function", "function": {"name": "get_weather"');
    expect(text).toContain(
      '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
    );
    expect(text).toContain('<|im_start|>user\n<tool_response>\nIt rains.\n</tool_response><|im_end|>\n');
    expect(text.endsWith('<|im_start|>assistant\n')).toBe(true);
    expect(text).not.toContain('strict');
    expect(render('qwen', parallel).match(/<tool_call>\n\{"name": "get_weather", /g)).toHaveLength(2);
  });

  it('Llama 3: a call a message, each with its result behind it', () => {
    const text = render('llama', parallel);
    expect(text).toContain('"description": "How the weather is."');
    const [first, second] = ['Oslo', 'Rome'].map((city) =>
      text.indexOf(`{"name": "get_weather", "parameters": {"city": "${city}"}}`),
    );
    expect(first).toBeGreaterThan(0);
    expect(text.indexOf('It rains.')).toBeGreaterThan(first);
    expect(second).toBeGreaterThan(text.indexOf('It rains.'));
    expect(text.indexOf('Sun.')).toBeGreaterThan(second);
    expect(text).toMatch(/Today Date: \d\d \w+ \d{4}\n/);
  });

  it('Mistral: ids of nine letters and digits, the same for a call and its result', () => {
    for (const family of ['mistral', 'mistralArgs'] as const) {
      const text = render(family, parallel);
      const ids = [...text.matchAll(/"(?:id|call_id)": "([^"]*)"/g)].map(([, id]) => id);
      expect(ids).toHaveLength(family === 'mistral' ? 4 : 2);
      for (const id of ids) expect(id).toMatch(/^[a-z0-9]{9}$/);
      if (family === 'mistral') expect([ids[0], ids[1]]).toEqual([ids[2], ids[3]]);
      expect(ids[0]).not.toBe(ids[1]);
      expect(text).toContain('[AVAILABLE_TOOLS][{"type": "function"');
      expect(text).toContain(
        family === 'mistral'
          ? '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "'
          : '[TOOL_CALLS]get_weather[ARGS]{"city":"Oslo"}',
      );
    }
  });

  it('DeepSeek: arguments as a text', () => {
    expect(render('deepseek', conversation)).toContain(
      'get_weather\n```json\n{"city":"Oslo"}\n```<｜tool▁call▁end｜>',
    );
  });

  it('Qwen3-Coder: arguments as elements', () => {
    const text = render('qwenXml', parallel);
    expect(text).toContain(
      '<name>get_weather</name>\n<parameter><name>city</name><type>string</type></parameter>',
    );
    const call = (city: string) =>
      `\n<tool_call>\n<function=get_weather>\n<parameter=city>\n${city}\n</parameter>\n</function>\n</tool_call>`;
    expect(text).toContain(`<|im_start|>assistant\nBoth.${call('Oslo')}${call('Rome')}<|im_end|>\n`);
    expect(text).toContain('<tool_response>\nSun.\n</tool_response>');
  });

  it('Llama 4: arguments as keywords', () => {
    const text = render('pythonic', parallel);
    expect(text).toContain(
      '<|python_start|>[get_weather(city="Oslo"), get_weather(city="Rome")]<|python_end|>',
    );
    expect(text).toContain('<|header_start|>ipython<|header_end|>\n\nSun.<|eot|>');
  });

  it('named templates: the one for tools where there are tools, and the default where there are none', () => {
    const text = render('named', conversation);
    expect(text).toContain('with tools: get_weather');
    expect(text).toContain('{\n  "city": "Oslo"\n}');
    expect(render('named', [user], [])).toBe('How is it in Oslo?');
  });
});

describe('a template that knows nothing of tools', () => {
  it('has them told in the system message, and calls and results as text', () => {
    const text = render('plain', [{ role: 'system', content: 'Be kind.' }, ...parallel]);
    expect(text).toContain('system: Be kind.\n\nYou can call functions,');
    expect(text).toContain('"name":"get_weather"');
    expect(text).toContain('<tool_call>\n{"name": "name", "arguments": ');
    expect(text).toContain(
      'assistant: Both.\n<tool_call>\n{"name": "get_weather", "arguments": {"city":"Oslo"}}\n</tool_call>\n<tool_call>',
    );
    expect(text).toContain(
      'user: <tool_response>\nIt rains.\n</tool_response>\n<tool_response>\nSun.\n</tool_response>\n',
    );
    expect(render('plain', [user])).toMatch(/^system: You can call/);
  });

  it('nor of a system message has them before the first message', () => {
    expect(render('alternating', [user])).toMatch(/^user: You can call.*\n\nHow is it in Oslo\?\n/s);
    expect(render('alternating', conversation)).toContain('user: <tool_response>');
  });

  it('writes a conversation without tools as it always did', () => {
    expect(render('plain', [user], [])).toBe('user: How is it in Oslo?\nassistant: ');
  });
});

it('a template’s own refusal, and the lack of one, are told', () => {
  expect(() => render('alternating', [user, user], [])).toThrow(
    /refuses these messages: Users and assistants/,
  );
  expect(() => createChatTemplate({}).render([user])).toThrow(/no chat template/);
});

it('arguments that are no JSON stay the text that they are', () => {
  const broken = { ...call('call_1', ''), function: { name: 'get_weather', arguments: '{"city": ' } };
  const text = render('qwen', [user, { ...calling, tool_calls: [broken] }, result]);
  expect(text).toContain('"arguments": "{\\"city\\": "}');
});
