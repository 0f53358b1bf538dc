/** The events of an answer in the form in which it was asked for. */
import type { GenerationEvent } from '../../api/events.ts';
import { createFormStream } from '../../filtering/form/form-stream.ts';
import type { TextStream } from '../../filtering/form/format.ts';
import { readingLevel } from '../../filtering/form/reading-level.ts';
import type { AnswerShape } from './ask.ts';

/** Ends at which a text was not brought to its own end. */
const cut = new Set(['length', 'content_filter']);

/**
 * An answer's events with its texts in their form, and the last with how hard it is to read, where that has a limit. Of
 * several candidates the first within the limit is told, or else the easiest; all count in the usage.
 */
export async function* shapeAnswer(
  events: AsyncGenerator<GenerationEvent>,
  { form, readingLimit, candidates }: AnswerShape,
): AsyncGenerator<GenerationEvent> {
  if (readingLimit === undefined && !createFormStream(form)) return yield* events;
  const levels: string[] = [];
  const levelled = readingLimit === undefined ? events : chosen(events, readingLimit, candidates, levels);
  const streams = new Map<number, TextStream | undefined>();
  const streamOf = (index: number): TextStream | undefined => {
    if (!streams.has(index)) streams.set(index, createFormStream(form));
    return streams.get(index);
  };
  for await (const event of levelled) {
    if (event.type === 'delta') {
      const stream = streamOf(event.index);
      const text = stream ? stream.push(event.text) : event.text;
      if (text !== '' || event.tokens.length > 0 || event.logprobs) yield { ...event, text };
      continue;
    }
    if (event.type === 'end') {
      const text = streamOf(event.index)?.end(cut.has(event.finish_reason)) ?? '';
      if (text !== '') yield { type: 'delta', index: event.index, text, tokens: [] };
    }
    if (event.type === 'done' && readingLimit !== undefined)
      yield { ...event, reading_level: Math.max(...levels.map(readingLevel)) };
    else yield event;
  }
}

/**
 * The events of one of the candidates, as the only one's; of a single candidate, or of several choices that are all
 * wanted, as they come.
 * @param texts gets the text of each choice that is told
 */
async function* chosen(
  events: AsyncGenerator<GenerationEvent>,
  limit: number,
  candidates: number,
  texts: string[],
): AsyncGenerator<GenerationEvent> {
  const own: GenerationEvent[][] = [];
  const written: string[] = candidates > 1 ? [] : texts;
  for await (const event of events) {
    if (event.type === 'delta') written[event.index] = (written[event.index] ?? '') + event.text;
    if (candidates === 1 || event.type === 'start') {
      yield event;
      continue;
    }
    if (event.type !== 'done') {
      own[event.index] ??= [];
      own[event.index].push(event);
      continue;
    }
    const found = Array.from(own, (_, i) => readingLevel(written[i] ?? ''));
    const within = found.findIndex((level) => level <= limit);
    const taken = within >= 0 ? within : found.indexOf(Math.min(...found));
    texts[0] = written[taken] ?? '';
    for (const each of own[taken]) yield { ...each, index: 0 } as GenerationEvent;
    yield event;
  }
}
