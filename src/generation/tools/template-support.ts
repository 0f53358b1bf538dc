/** What a chat template has a form for. It is asked itself: small conversations are written, and looked at. */

/** What a template is given: messages in the form that it expects, and tools. */
export type Render = (messages: readonly object[], tools?: readonly object[], prompt?: boolean) => string;

export interface TemplateSupport {
  /** Whether a system message is written. */
  system: boolean;
  /** Whether tools are told of. */
  tools: boolean;
  /** How the arguments of a call are wanted; undefined where calls are not written. */
  calls: 'object' | 'string' | undefined;
  /** Whether a message may have more than one call. */
  several: boolean;
  /** Whether a call's id has to be of nine letters and digits. */
  shortIds: boolean;
  /** Whether results are written. */
  results: boolean;
}

const name = 'probe_function';
const user = { role: 'user', content: 'Probe.' };
const values = { object: { probe_key: 'probe_value' }, string: '{"probe_key": "probe_value"}' };
/** The arguments as JSON, not as a text within JSON; or as elements or keywords. */
const asObject = /"probe_key":\s*"probe_value"|probe_key(>\s*|=['"])probe_value/;
const tool = {
  type: 'function',
  function: {
    name,
    description: 'Probe.',
    parameters: {
      type: 'object',
      properties: { probe_key: { type: 'string', description: 'Probe.' } },
      required: ['probe_key'],
    },
  },
};

const call = (id: string, called: string, given: unknown) => ({
  id,
  type: 'function',
  function: { name: called, arguments: given },
});
const calling = (...tool_calls: { id: string; function: { name: string } }[]) => [
  user,
  { role: 'assistant', content: '', tool_calls },
  ...tool_calls.map(({ id, function: called }) => ({
    role: 'tool',
    name: called.name,
    tool_call_id: id,
    content: `result of ${called.name}`,
  })),
];

/** @param render writes a conversation by the template, or throws */
export function probeTemplate(render: Render): TemplateSupport {
  // Tools are told of in each, as some templates rely on them.
  const written = (messages: object[]): string => {
    try {
      return render(messages, [tool]);
    } catch {
      return '';
    }
  };
  const shortId = 'probe0001';
  const kinds = ['object', 'string'] as const;
  const calls = kinds.find((kind) => asObject.test(written(calling(call(shortId, name, values[kind])))));
  const given = values[calls ?? 'object'];
  const one = written(calling(call(shortId, name, given)));
  const two = written(calling(call(shortId, name, given), call('probe0002', 'other_function', given)));
  return {
    system: written([{ role: 'system', content: 'system_probe' }, user]).includes('system_probe'),
    tools: written([user]).includes(name),
    calls,
    several: two.includes('other_function'),
    shortIds: one !== '' && written(calling(call('call_of_any_length', name, given))) === '',
    results: one.includes(`result of ${name}`),
  };
}
