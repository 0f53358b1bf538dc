/**
 * A policy on the events of an answer: each choice's text is one stream, and so are the arguments of each of its calls.
 * What is refused ends its choice; where none is left, the generation ends.
 */
import type { GenerationEvent } from '../../api/events.ts';
import type { FilterPiece } from '../../filtering/filter-stream.ts';
import type { TextFilter } from '../../filtering/json-filter.ts';
import { createTokenQueue, type ToldTokens } from './masked-tokens.ts';
import type { RequestFilter } from './request-filter.ts';

export interface AnswerForm {
  /** How many choices are told. */
  choices: number;
  /** Whether their text is JSON, and whether calls are read out of it. */
  json: boolean;
  calls: boolean;
  /** Whether the generation is read to its end in any case, for the trace of the whole. */
  traced: boolean;
}

type ChoiceEvent = Extract<GenerationEvent, { index: number }>;

/** The events as the caller is told them. Held back is only what may still become a match. */
export async function* filterAnswer(
  events: AsyncGenerator<GenerationEvent>,
  filter: RequestFilter,
  form: AnswerForm,
): AsyncGenerator<GenerationEvent> {
  const choices = new Map<number, ChoiceFilter>();
  let [prompt_tokens, completion_tokens] = [0, 0];
  try {
    for await (const event of events) {
      if (event.type === 'start') prompt_tokens = event.prompt_tokens;
      if (event.type === 'start' || event.type === 'done') {
        yield event;
        continue;
      }
      if (event.type === 'delta' || event.type === 'tool_call') completion_tokens += event.tokens.length;
      const choice = choices.get(event.index) ?? createChoiceFilter(event.index, filter, form);
      choices.set(event.index, choice);
      if (choice.refused) continue;
      yield* choice.take(event);
      const all = [...choices.values()];
      if (!choice.refused || form.traced || all.length < form.choices || !all.every(({ over }) => over))
        continue;
      const total_tokens = prompt_tokens + completion_tokens;
      yield { type: 'done', usage: { prompt_tokens, completion_tokens, total_tokens } };
      return;
    }
  } catch (thrown) {
    // Where the answer breaks off, what was held back of it is the end of its texts.
    for (const choice of choices.values()) yield* choice.rest();
    throw thrown;
  }
}

interface ChoiceFilter {
  readonly over: boolean;
  readonly refused: boolean;
  take(event: ChoiceEvent): AsyncGenerator<GenerationEvent>;
  /** What is held back of a choice that comes to no end of its own. */
  rest(): AsyncGenerator<GenerationEvent>;
}

/** What is written just now: the choice's text, or the arguments of a call. */
interface Open {
  call?: number;
  filter: TextFilter;
  /** Of what was pushed, how much is told. */
  sent: number;
}

function createChoiceFilter(index: number, filter: RequestFilter, form: AnswerForm): ChoiceFilter {
  const tokens = createTokenQueue(!form.json && !form.calls, filter.hidesAnswered);
  let open: Open | undefined;
  let trace: ToldTokens['trace'];
  let [over, refused] = [false, false];

  /** What is told of a piece, and of the tokens that are known by then. */
  function* tell(
    { text, spans, refused: why }: FilterPiece,
    { call, ...head }: { call?: number; id?: string; name?: string },
  ): Generator<GenerationEvent> {
    const acted = spans.filter(({ action }) => action !== 'allow');
    for (const { start, end, written = '' } of acted) tokens.mask(start, end, written.length);
    if (open) {
      open.sent += text.length;
      for (const { start, end, action, written = '' } of acted)
        if (action !== 'refuse') open.sent += end - start - written.length;
    }
    yield* told(text, tokens.settled(open?.sent ?? 0), call, head);
    if (!why) return;
    open = undefined;
    over = refused = true;
    yield { type: 'end', index, finish_reason: 'content_filter' };
  }

  function* told(
    text: string,
    { logprobs, trace }: ToldTokens,
    call?: number,
    head: { id?: string; name?: string } = {},
  ): Generator<GenerationEvent> {
    if (trace) yield { type: 'trace', index, tokens: trace };
    if (!text && !logprobs && head.id === undefined) return;
    const part = { index, tokens: [], ...(logprobs && { logprobs }) };
    if (call === undefined) yield { type: 'delta', text, ...part };
    else yield { type: 'tool_call', call, ...head, arguments: text, ...part };
  }

  async function* close(): AsyncGenerator<GenerationEvent> {
    if (!open) return;
    const { call, filter } = open;
    yield* tell(await filter.end(), { call });
    open = undefined;
  }

  /** Makes sure that what is written is what is open. */
  async function* turnTo(call: number | undefined): AsyncGenerator<GenerationEvent> {
    if (open && open.call === call) return;
    yield* close();
    if (!over) open = { call, filter: filter.openOutput(call !== undefined || form.json), sent: 0 };
  }

  return {
    get over() {
      return over;
    },
    get refused() {
      return refused;
    },
    rest: close,
    async *take(event) {
      if (event.type === 'trace') {
        trace = [...(trace ?? []), ...event.tokens];
        return;
      }
      if (event.type === 'end') {
        yield* close();
        if (over) return;
        tokens.push('', { trace });
        yield* told('', tokens.settled(Number.POSITIVE_INFINITY));
        over = true;
        yield event;
        return;
      }
      const call = event.type === 'tool_call' ? event.call : undefined;
      yield* turnTo(call);
      if (!open) return;
      const text = event.type === 'delta' ? event.text : event.arguments;
      tokens.push(text, { logprobs: event.logprobs, trace });
      trace = undefined;
      const { id, name } = event.type === 'tool_call' ? event : {};
      if (name !== undefined) {
        const said = await filter.checkAnswered(name);
        if (said.refused) return yield* tell(said, {});
        yield* tell(await open.filter.push(text), { call, id: id ?? '', name: said.text });
      } else yield* tell(await open.filter.push(text), { call });
    },
  };
}
