/** `POST /v1/moderations` */
import {
  type ModerationRequest,
  moderationModel,
  moderationResult,
  parseModerationRequest,
  type Verdict,
} from '../api/moderations.ts';
import { macrotask } from '../generation/macrotask.ts';
import { readJson } from './body.ts';
import { watchCaller } from './caller.ts';
import type { EdgeContext } from './context.ts';
import { Failure } from './failure.ts';
import { guard } from './guard.ts';
import { inOnePiece } from './responses.ts';

export async function moderations(c: EdgeContext): Promise<Response> {
  const { input } = parseModerationRequest(await readJson(c.req.raw));
  const inputs = partsOf(input);
  const caller = watchCaller(c);
  return inOnePiece(c, caller, judged(inputs, caller.signal));
}

type Part = Exclude<ModerationRequest['input'][number], string>;

/** The parts of each input. Parts that are given together are one input; texts are one each. */
function partsOf(input: ModerationRequest['input']): Part[][] {
  if (typeof input === 'string') return [[{ type: 'text', text: input }]];
  const parts = input.map((each): Part => (typeof each === 'string' ? { type: 'text', text: each } : each));
  return typeof input[0] === 'string' ? parts.map((part) => [part]) : [parts];
}

async function judged(inputs: readonly Part[][], signal: AbortSignal): Promise<object> {
  const results = [];
  for (const parts of inputs) {
    // Others' requests go on between two texts.
    if (results.length > 0) await macrotask();
    const verdicts: Verdict[] = [];
    for (const [i, part] of parts.entries()) verdicts.push(await verdictOn(part, `input[${i}]`, signal));
    results.push(moderationResult(verdicts));
  }
  return { id: `modr-${crypto.randomUUID().replaceAll('-', '')}`, model: moderationModel, results };
}

async function verdictOn(part: Part, param: string, signal: AbortSignal): Promise<Verdict> {
  if (part.type === 'text') {
    const classifier = await guard();
    return { kind: 'text', ...(await classifier.judge(part.text, signal)) };
  }
  throw new Failure('moderation_unavailable', 'No model that judges images is here.', { param });
}
