/** The filter of one request: what it makes of texts that come in, and of texts that are answered. */
import type { Filtered, FilterTrace } from '../../api/trace.ts';
import { createFilterStream, type FilterPiece, filterText, scansFor } from '../../filtering/filter-stream.ts';
import { createJsonFilter, isJson, type TextFilter } from '../../filtering/json-filter.ts';
import { createPlaceholders, type Placeholders } from '../../filtering/placeholders.ts';
import { actions, allowsAll, type Direction, needsTagger } from '../../filtering/policy.ts';
import { createLeakStream } from '../../filtering/prompt-leak.ts';
import type { Role } from '../../filtering/safety.ts';
import { createTaggedStream } from '../../filtering/tagged-stream.ts';
import { macrotask } from '../../generation/macrotask.ts';
import type { EdgeContext } from '../context.ts';
import { Failure } from '../failure.ts';
import {
  before,
  judgedAnswer,
  judgeSaid,
  leakAction,
  mayRefuseInput,
  mayRefuseOutput,
} from './request-judge.ts';
import { callerName, sitePolicy } from './site-policy.ts';
import { siteTagger } from './site-tagger.ts';

export interface RequestFilter {
  /** Whether anything can become of a text in this direction. */
  readonly acts: Readonly<Record<Direction, boolean>>;
  /** What stands for values in this conversation. */
  readonly placeholders: Placeholders;
  /**
   * What becomes of a text that comes in.
   * @param param what in the request it is
   * @param role whose words they are, for what they mean; the user's, where nothing is said
   * @throws Failure 400 if it is refused, for what is in it or what it means, or could not be checked
   */
  checkInput(text: string, param: string, role?: Role | 'nobody'): Promise<string>;
  /** A filter for one text that is answered. */
  openOutput(json?: boolean): TextFilter;
  /** What becomes of a whole text that is answered. */
  checkAnswered(text: string): Promise<FilterPiece>;
  /** Whether a text that was weighed and not answered is one that is not told. */
  hidesAnswered(text: string): boolean;
  /** What has been done so far. */
  told(): Filtered[];
  /** The same for a trace. */
  traced(): FilterTrace[];
}

/** Units that are looked at before other requests get their turn. */
const STEP = 16_384;

/** Units of the shortest text that is one by itself. */
const SHORTEST = 6;

/** Of many texts most are a word of the format, in which nothing can be found. */
const isWord = (text: string): boolean => text.length < 20 && /^[a-z_]*$/.test(text);

/**
 * The filter for a request, by the site's policy and the key that came along.
 * @throws Failure 500 if the policy is broken
 */
export function openFilter(c: EdgeContext): RequestFilter {
  const { policy, secret } = sitePolicy(c.env);
  const key = callerName(policy, c.req.header('authorization'));
  const placeholders = createPlaceholders();
  const judgesOutput = mayRefuseOutput(policy, key);
  const leak = leakAction(policy);
  /** What the system has said in this conversation, and what all others have. */
  const [instructions, others]: [string[], string[]] = [[], []];
  const acts = {
    input: mayRefuseInput(policy, key) || leak !== 'allow' || !allowsAll(policy, 'input', key),
    output: judgesOutput || leak !== 'allow' || !allowsAll(policy, 'output', key),
  };
  const scans = { input: scansFor(policy, 'input', key), output: scansFor(policy, 'output', key) };
  const counts = new Map<string, Filtered>();
  const hidden = new Map<string, boolean>();
  const milliseconds: Record<Direction, number> = { input: 0, output: 0 };

  function open(direction: Direction, json: boolean, prose = true): TextFilter {
    const options = { key, secret, placeholders, scans: scans[direction] };
    const filter =
      prose && needsTagger(policy, direction, key)
        ? createTaggedStream(policy, direction, siteTagger(policy), options)
        : createFilterStream(policy, direction, options);
    const stream = watched(filter, direction);
    return json ? createJsonFilter(stream) : stream;
  }

  /** A filter whose time and findings are counted. */
  function watched(filter: TextFilter, direction: Direction): TextFilter {
    const counted = async (work: () => ReturnType<TextFilter['end']>): Promise<FilterPiece> => {
      const began = performance.now();
      const piece = await work();
      milliseconds[direction] += performance.now() - began;
      for (const { type, action } of piece.spans) {
        if (action === 'allow') continue;
        const name = `${type} ${direction} ${action}`;
        const entry = counts.get(name) ?? { type, direction, action, count: 0 };
        entry.count++;
        counts.set(name, entry);
      }
      return piece;
    };
    return { push: (text) => counted(() => filter.push(text)), end: () => counted(() => filter.end()) };
  }

  const told = (): Filtered[] => [...counts.values()].map((entry) => ({ ...entry }));
  return {
    acts,
    placeholders,
    async checkInput(text, param, role = 'user') {
      if (!acts.input || isWord(text)) return text;
      // The name of a model has to be found as it is; with white space in it, it is none.
      const stream = open('input', isJson(text), param !== 'model' || /\s/.test(text));
      let out = '';
      for (let at = 0; at <= text.length; at += STEP) {
        if (at > 0) await macrotask();
        const last = at + STEP > text.length;
        const pieces = [await stream.push(text.slice(at, at + STEP)), ...(last ? [await stream.end()] : [])];
        for (const { text, refused } of pieces) {
          if (refused) throw refusedInput(param, refused.type);
          out += text;
        }
      }
      if (role === 'nobody') return out;
      if (leak !== 'allow') (role === 'system' ? instructions : others).push(out);
      const { refused } = (await judgeSaid(policy, key, out, role)) ?? {};
      if (refused) throw refusedInput(param, refused.category);
      return out;
    },
    openOutput(json = false) {
      const filter = open('output', json);
      const leaks = leak !== 'allow' && createLeakStream(instructions.join('\n'), others, leak);
      const masked = leaks ? before(watched(leaks, 'output'), filter) : filter;
      return judgesOutput ? before(judgedAnswer(policy, key), masked) : masked;
    },
    async checkAnswered(text) {
      const stream = open('output', false);
      const first = await stream.push(text);
      const rest = await stream.end();
      return { ...rest, text: first.text + rest.text, spans: [...first.spans, ...rest.spans] };
    },
    hidesAnswered(text) {
      if (text.length < SHORTEST) return false;
      let hides = hidden.get(text);
      if (hides === undefined) {
        const { spans, refused } = filterText(text, policy, 'output', { key, secret, scans: scans.output });
        hides = refused !== undefined || spans.some(({ action }) => action !== 'allow');
        hidden.set(text, hides);
      }
      return hides;
    },
    told,
    traced: () =>
      (['input', 'output'] as const)
        .filter((direction) => acts[direction])
        .map((direction) => {
          const done = told().filter((entry) => entry.direction === direction);
          const strictest = Math.max(0, ...done.map(({ action }) => actions.indexOf(action)));
          return {
            name: policy.name,
            on: direction === 'input' ? 'prompt' : 'answer',
            action: actions[strictest],
            milliseconds: Math.round(milliseconds[direction] * 1000) / 1000,
          };
        }),
  };
}

function refusedInput(param: string, type: string | undefined): Failure {
  const why = type
    ? `\`${param}\` holds what the policy of this site refuses: ${type}.`
    : `\`${param}\` could not be checked, so it is refused.`;
  return new Failure('content_filter', why, { param });
}

/** A text of our own in which something may stand that was sent, as it may be told and logged. */
export function tellable(c: EdgeContext, text: string): string {
  try {
    const { policy, secret } = sitePolicy(c.env);
    const key = callerName(policy, c.req.header('authorization'));
    // Whether a name stands in it cannot be told at once.
    if (needsTagger(policy, 'input', key) && !isWord(text)) return '';
    return allowsAll(policy, 'input', key) ? text : filterText(text, policy, 'input', { key, secret }).text;
  } catch {
    return '';
  }
}

/** A path that was asked for, part by part. */
export const tellablePath = (c: EdgeContext): string =>
  c.req.path
    .split('/')
    .map((part) => tellable(c, part))
    .join('/');
