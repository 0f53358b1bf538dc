/** `POST /v1/images/generations` and `POST /v1/images/edits`. */
import type { DrawRequest } from '../../api/draw.ts';
import { type ImageRequest, imageUsage, parseImageRequest } from '../../api/images.ts';
import { watchCaller } from '../caller.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { Failure } from '../failure.ts';
import { filterBody, filteredPart, readFiltered } from '../filtering/filtered-body.ts';
import { openFilter, type RequestFilter } from '../filtering/request-filter.ts';
import { inOnePiece, markAnswer, streamed } from '../responses.ts';
import type { ServiceAccess } from '../service.ts';
import { type AnswerHead, eventAnswer, jsonAnswer, type Kind, told } from './answers.ts';
import { encodeBase64 } from './base64.ts';
import { begun, jsonInParts } from './begun.ts';
import { collectImages } from './collect.ts';
import { type Drawn, draw, imageModel } from './drawing.ts';
import { imageLife, imageUrl, newName, putImage } from './files.ts';
import { readEditForm } from './form.ts';
import { submitJob } from './jobs.ts';

/** Files that a drawing begins from. */
export interface Inputs {
  image?: Uint8Array;
  mask?: Uint8Array;
}

/** `POST /v1/images/generations` */
export async function generations(c: EdgeContext): Promise<Response> {
  if (/^multipart\//i.test(c.req.header('content-type') ?? '')) {
    throw new Failure(
      'unsupported_content_type',
      'Generations take JSON. A form with an image is for POST /v1/images/edits.',
    );
  }
  const { filter, body } = await readFiltered(c);
  return answerImages(c, 'image_generation', parseImageRequest(body), {}, filter);
}

/** `POST /v1/images/edits` */
export async function edits(c: EdgeContext): Promise<Response> {
  const filter = openFilter(c);
  const checked = async (fields: object) => (await filterBody(c, filter, fields)) as Record<string, string>;
  const { request, ...inputs } = await readEditForm(c.req.raw, checked);
  return answerImages(c, 'image_edit', request, inputs, filter);
}

async function answerImages(
  c: EdgeContext,
  kind: Kind,
  request: ImageRequest,
  inputs: Inputs,
  filter: RequestFilter,
): Promise<Response> {
  const own = filteredPart(filter);
  if (isAsync(c)) return submitJob(c, request, inputs, own);
  const access = serviceAccess(c);
  const caller = watchCaller(c);
  try {
    const { id: model } = await imageModel(access, request.model, caller.signal);
    const { prompt, parameters } = request;
    const asked: DrawRequest = { model, prompt, parameters, ...encoded(inputs) };
    const drawn = await begun(draw(access!, asked, caller.signal));
    markAnswer(c, 'service', false);
    const head = { kind, model, format: parameters.output_format, requestId: c.get('requestId'), own };
    if (request.stream) {
      const parts = eventAnswer(head, drawn, request.includeProgress);
      return streamed(c, caller, parts, 'text/event-stream; charset=utf-8');
    }
    return request.delivery === 'url'
      ? await inOnePiece(c, caller, urlAnswer(c, access!, head, drawn))
      : await jsonInParts(c, caller, jsonAnswer(head, drawn));
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

const encoded = (inputs: Inputs): { image?: string; mask?: string } =>
  Object.fromEntries(Object.entries(inputs).map(([name, bytes]) => [name, encodeBase64(bytes)]));

/** An answer whose images are kept for a while, and had by their addresses. */
async function urlAnswer(
  c: EdgeContext,
  { secret }: ServiceAccess,
  { model, format, own }: AnswerHead,
  drawn: AsyncGenerator<Drawn>,
): Promise<object> {
  const created = Math.floor(Date.now() / 1000);
  const group = newName();
  const { origin } = new URL(c.req.url);
  const data: { url: string; seed: number }[] = [];
  let [promptTokens, steps, seconds] = [0, 0, 0];
  let size: string | undefined;
  let expires = 0;
  const withheld: number[] = [];
  for await (const event of collectImages(drawn)) {
    if (event.type === 'start') [promptTokens, steps] = [event.prompt_tokens ?? 0, event.steps];
    if (event.type === 'done') seconds = event.seconds;
    if (event.type === 'withheld') withheld.push(event.index);
    if (event.type !== 'image') continue;
    expires = Math.floor(Date.now() / 1000) + imageLife(c.env);
    // The watch is set before there is anything to watch over, so that nothing is ever left lying.
    await c.env.IMAGE_FILES.get(c.env.IMAGE_FILES.idFromName(group)).keep(group, expires);
    await putImage(c.env.IMAGES, group, event);
    data.push({ url: await imageUrl(origin, secret, group, event, expires), seed: event.seed });
    size = `${event.width}x${event.height}`;
  }
  const usage = imageUsage(promptTokens, data.length, steps, seconds);
  return {
    created,
    model,
    output_format: format,
    data,
    size,
    expires_at: expires,
    usage,
    ...told(own, withheld),
  };
}

/** Whether the answer is to be a job, as `?async=1` asks. */
function isAsync(c: EdgeContext): boolean {
  const asked = c.req.query('async');
  if (asked === undefined || /^(0|false)$/.test(asked)) return false;
  if (/^(1|true)$/.test(asked)) return true;
  throw new Failure('invalid_value', '`async` is not right: expected 1 or 0.', {
    param: 'async',
  });
}
