import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/api/events.ts';
import { newResponse, numbered, type ResponseEvent, responseEvents } from '../../src/api/responses/answer.ts';
import { parseResponsesRequest } from '../../src/api/responses/request.ts';
import { responseAnswer, responseEvent } from '../../src/api/responses/schema.ts';

const request = parseResponsesRequest({ model: 'm', input: 'a' });
const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

/** What a model may write: texts and calls in any order, cut into pieces anywhere. */
const written = fc.array(
  fc.oneof(
    fc.record({ text: fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 }) }),
    fc.record({ call: fc.array(fc.string(), { minLength: 1, maxLength: 3 }) }),
  ),
  { maxLength: 5 },
);

it('texts and calls in any order become items, each opened, filled and closed before the next', async () => {
  await fc.assert(
    fc.asyncProperty(
      written,
      fc.constantFrom('stop', 'length', 'tool_calls'),
      async (parts, finish_reason) => {
        let calls = 0;
        async function* generation(): AsyncGenerator<GenerationEvent> {
          yield { type: 'start', prompt_tokens: 3 };
          for (const part of parts) {
            if ('text' in part)
              for (const text of part.text) yield { type: 'delta', index: 0, text, tokens: [1] };
            else {
              const call = calls++;
              for (const [i, piece] of part.call.entries()) {
                const head = i === 0 && { id: `call_${call}`, name: `f${call}` };
                yield { type: 'tool_call', index: 0, call, ...head, arguments: piece, tokens: [1] };
              }
            }
          }
          yield { type: 'end', index: 0, finish_reason };
          yield { type: 'done', usage };
        }
        const response = newResponse(request, 'm');
        const kept: string[] = [];
        const events: ResponseEvent[] = [];
        const finish = async () => void kept.push(JSON.stringify(response));
        for await (const event of responseEvents(response, generation(), numbered(), finish))
          events.push(JSON.parse(JSON.stringify(event)) as ResponseEvent);
        for (const event of events) responseEvent.parse(event);
        expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
        expect(kept).toEqual([JSON.stringify(events.at(-1)!.response)]);

        // What the deltas of each item add up to is what the item says in the end.
        const { output } = responseAnswer.parse(response);
        const added = output.map((_, at) =>
          events.flatMap((event) => (event.output_index === at && event.delta ? [event.delta] : [])).join(''),
        );
        expect(added).toEqual(
          output.map((item) => (item.type === 'message' ? item.content[0].text : item.arguments)),
        );
        const expected = parts.flatMap((part, i) => {
          const before = parts[i - 1];
          return 'text' in part && before && 'text' in before ? [] : [part];
        });
        expect(output.map(({ type }) => type)).toEqual(
          expected.length === 0
            ? ['message']
            : expected.map((part) => ('text' in part ? 'message' : 'function_call')),
        );
        const order = events.flatMap(({ type, output_index }) =>
          /output_item/.test(type) ? [`${type.split('.').at(-1)} ${output_index}`] : [],
        );
        expect(order).toEqual(output.flatMap((_, at) => [`added ${at}`, `done ${at}`]));
        expect(response.status).toBe(finish_reason === 'length' ? 'incomplete' : 'completed');
      },
    ),
  );
});
