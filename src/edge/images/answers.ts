/**
 * Answers with images, in OpenAI's shapes. Base64 goes through as it comes, so that an answer of many large images
 * needs no more memory than one of a small one.
 */
import { imageUsage } from '../../api/images.ts';
import type { wickPart } from '../../api/trace.ts';
import { toFailure } from '../failure.ts';
import type { Part } from '../responses.ts';
import type { Drawn } from './drawing.ts';

/** Which route an answer is for, as its events are named. */
export type Kind = 'image_generation' | 'image_edit';

export interface AnswerHead {
  kind: Kind;
  model: string;
  format: string;
  requestId: string;
  /** wick's own part of the answer. */
  own: ReturnType<typeof wickPart>;
}

const json = JSON.stringify;
const seconds = () => Math.floor(Date.now() / 1000);
/** What a model of one way of drawing can say of these. */
const fixed = { quality: 'auto', background: 'auto' };

/**
 * An answer in one JSON object, in parts; the first comes when drawing has begun. What goes wrong before that is
 * thrown. Later it stands in the object, after the images that are whole; one that was cut leaves no JSON.
 */
export async function* jsonAnswer(head: AnswerHead, drawn: AsyncGenerator<Drawn>): AsyncGenerator<Part> {
  const { model, format, own } = head;
  const opening = `{"created":${seconds()},"model":${json(model)},"output_format":${json(format)},"data":[`;
  let [begun, inImage, images, promptTokens, steps] = [false, false, 0, 0, 0];
  const withheld: number[] = [];
  let size: string | undefined;
  try {
    for await (const event of drawn) {
      if (event.type === 'start') {
        [promptTokens, steps] = [event.prompt_tokens ?? 0, event.steps];
      } else if (event.type === 'head') {
        yield `${begun ? '' : opening}${images > 0 ? ',' : ''}{"b64_json":"`;
        begun = inImage = true;
      } else if (event.type === 'base64') {
        yield event.bytes;
      } else if (event.type === 'image') {
        inImage = false;
        images++;
        size = `${event.width}x${event.height}`;
        yield `","seed":${event.seed}}`;
      } else if (event.type === 'done') {
        const usage = imageUsage(promptTokens, images, steps, event.seconds);
        yield `${begun ? '' : opening}],${json({ size, usage, ...told(own, withheld) }).slice(1)}\n`;
      } else if (event.type === 'withheld') {
        withheld.push(event.index);
      } else if (!inImage && (begun || event.type === 'progress')) {
        // White space, which notices a caller that has left.
        yield begun ? ' ' : opening;
        begun = true;
      }
    }
  } catch (thrown) {
    if (!begun) throw thrown;
    const { error } = toFailure(thrown, head.requestId).body;
    yield inImage ? `\n${json({ error })}\n` : `],"error":${json(error)}}\n`;
  }
}

/** An answer as server-sent events. One that ends in a failure ends with an event of its error object. */
export async function* eventAnswer(
  head: AnswerHead,
  drawn: AsyncGenerator<Drawn>,
  includeProgress: boolean,
): AsyncGenerator<Part> {
  const { kind, requestId } = head;
  let [promptTokens, steps] = [0, 0];
  /** A comment, which notices a caller that has left, or an event where such were asked for. */
  const progress = (state: object) =>
    includeProgress ? sentEvent({ type: `${kind}.progress`, created_at: seconds(), ...state }) : ':\n\n';
  try {
    for await (const event of drawn) {
      if (event.type === 'queued') {
        yield progress({ status: 'queued', place: event.place, seconds: event.seconds });
      } else if (event.type === 'start') {
        [promptTokens, steps] = [event.prompt_tokens ?? 0, event.steps];
        yield progress({ status: 'running', image_index: 0, step: 0, steps, n: event.n, seed: event.seed });
      } else if (event.type === 'progress') {
        yield progress({
          status: 'running',
          image_index: event.index,
          step: event.step,
          steps: event.steps,
        });
      } else if (event.type === 'head') {
        const type = `${kind}.${event.of === 'image' ? 'completed' : 'partial_image'}`;
        const start = { type, created_at: seconds(), image_index: event.index, ...fixed };
        yield `event: ${type}\ndata: ${json(start).slice(0, -1)},"b64_json":"`;
      } else if (event.type === 'base64') {
        yield event.bytes;
      } else if (event.type === 'partial' || event.type === 'image') {
        const size = `${event.width}x${event.height}`;
        const end = {
          output_format: event.format,
          size,
          ...(event.type === 'partial'
            ? { partial_image_index: event.partial }
            : { seed: event.seed, usage: imageUsage(promptTokens, 1, steps) }),
        };
        yield `",${json(end).slice(1)}\n\n`;
      } else if (event.type === 'withheld') {
        yield sentEvent({ type: `${kind}.withheld`, created_at: seconds(), image_index: event.index });
      } else if (event.type === 'tick') {
        yield ':\n\n';
      }
    }
  } catch (thrown) {
    // A line break first, for an image that was cut: its event ends there, and is none.
    yield `\n\n${sentEvent({ type: 'error', ...toFailure(thrown, requestId).body })}`;
  }
}

/** wick's part of an answer, with the images that are not sent. */
export const told = (own: AnswerHead['own'], withheld: readonly number[]): object =>
  withheld.length > 0 ? { wick: { ...own.wick, withheld } } : own;

const sentEvent = (value: { type: string; [name: string]: unknown }): string =>
  `event: ${value.type}\ndata: ${json(value)}\n\n`;
