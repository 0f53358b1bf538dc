/** `POST /v1/moderations` */
import {
  type ModerationRequest,
  moderationModel,
  moderationResult,
  parseModerationRequest,
  type Verdict,
} from '../api/moderations.ts';
import type { Policy } from '../filtering/policy.ts';
import { checkSafety } from '../filtering/safety.ts';
import { macrotask } from '../generation/macrotask.ts';
import { readJson } from './body.ts';
import { watchCaller } from './caller.ts';
import { type EdgeContext, serviceAccess } from './context.ts';
import { Failure } from './failure.ts';
import { judgeFor } from './filtering/request-judge.ts';
import { callerName, sitePolicy } from './filtering/site-policy.ts';
import { checkImageOnService, type ServiceAccess } from './service.ts';

/** Bytes of a body: one image, as large as the service takes one, and texts. */
const BODY_LIMIT = 6_500_000;
/** UTF-16 units of all texts together: seconds of an isolate's one thread. */
const TEXT_LIMIT = 1_000_000;

export async function moderations(c: EdgeContext): Promise<Response> {
  const { input } = parseModerationRequest(await readJson(c.req.raw, BODY_LIMIT));
  const inputs = partsOf(input);
  const units = inputs.flat().reduce((sum, part) => sum + (part.type === 'text' ? part.text.length : 0), 0);
  if (units > TEXT_LIMIT)
    throw new Failure(
      'invalid_value',
      `The texts have ${units} units together; at most ${TEXT_LIMIT} are judged.`,
      {
        param: 'input',
      },
    );
  const caller = watchCaller(c);
  try {
    // Held until it is known, seconds at most: a text that could not be judged must not look like an answer.
    const { policy } = sitePolicy(c.env);
    const key = callerName(policy, c.req.header('authorization'));
    return c.json(await judged(inputs, { policy, key, access: serviceAccess(c) }, caller.signal));
  } finally {
    caller.finished();
  }
}

type Part = Exclude<ModerationRequest['input'][number], string>;

/** The parts of each input. Parts that are given together are one input; texts are one each. */
function partsOf(input: ModerationRequest['input']): Part[][] {
  if (typeof input === 'string') return [[{ type: 'text', text: input }]];
  const parts = input.map((each): Part => (typeof each === 'string' ? { type: 'text', text: each } : each));
  return typeof input[0] === 'string' ? parts.map((part) => [part]) : [parts];
}

/** Whose policy and key count, and the service where images are judged. */
interface Asker {
  policy: Policy;
  key: string | undefined;
  access: ServiceAccess | undefined;
}

async function judged(inputs: readonly Part[][], asker: Asker, signal: AbortSignal): Promise<object> {
  const results = [];
  for (const parts of inputs) {
    // Others' requests go on between two texts.
    if (results.length > 0) await macrotask();
    const verdicts: Verdict[] = [];
    for (const [i, part] of parts.entries())
      verdicts.push(await verdictOn(part, `input[${i}]`, asker, signal));
    results.push(moderationResult(verdicts));
  }
  return { id: `modr-${crypto.randomUUID().replaceAll('-', '')}`, model: moderationModel, results };
}

async function verdictOn(
  part: Part,
  param: string,
  { access, ...asker }: Asker,
  signal: AbortSignal,
): Promise<Verdict> {
  if (part.type === 'text') {
    const { policy, key } = asker;
    const verdict = await checkSafety(
      part.text,
      policy.safety,
      { direction: 'input', key },
      await judgeFor(policy),
      signal,
    );
    if (verdict.refused && !verdict.refused.category)
      throw new Failure('internal_error', `\`${param}\` could not be judged.`, { param });
    return { kind: 'text', ...verdict };
  }
  const { unsafe } = await checkImageOnService(access, bytesOf(part.image_url.url, param), param, signal);
  // A checker says yes or no, and of one category.
  return { kind: 'image', categories: { sexual: unsafe }, scores: { sexual: unsafe ? 1 : 0 } };
}

/** The file of an image in base64. Nothing is fetched for a caller: an address may be anybody's. */
function bytesOf(url: string, param: string): string {
  const base64 = /^data:image\/[\w.+-]{1,40};base64,([A-Za-z0-9+/]+={0,2})$/.exec(url)?.[1];
  if (base64) return base64;
  throw new Failure('invalid_value', 'An image to be judged is sent itself, as data:image/png;base64,….', {
    param: `${param}.image_url.url`,
  });
}
