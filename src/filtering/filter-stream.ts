/**
 * A policy on a text that comes in pieces. It holds back only what may still become a match, and whatever the pieces
 * are, together they give what the whole text gives.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { types } from './detectors.ts';
import { createPlaceholders, type Placeholders } from './placeholders.ts';
import { type Action, actions, type Direction, decisionsOf, type Policy } from './policy.ts';
import { createScan, type Finding, type Scan } from './scan.ts';

/** Something that was found. Offsets in UTF-16 units of all that was pushed. */
export interface FilterSpan {
  start: number;
  end: number;
  type: string;
  /** How sure, 0 to 1. */
  score: number;
  action: Action;
  /** What stands for it in the text that is sent on; where it stays, it does itself. */
  written?: string;
  /** What spoke for it, for people. */
  why: string[];
  /** In which way of writing it was hidden, the outermost first. */
  via: string[];
}

/** Why a text ends here. It never holds what was found. */
export interface Refusal {
  /** The type that the policy refuses; none if a check could not be made. */
  type?: string;
  message: string;
}

export interface FilterPiece {
  /** What may be sent on. */
  text: string;
  /** What was found and decided since the last piece, in order. */
  spans: FilterSpan[];
  /** From here on nothing more is sent on. */
  refused?: Refusal;
}

export interface FilterStream {
  push(text: string): FilterPiece;
  /** Ends the text: gives what was held back. */
  end(): FilterPiece;
}

export interface FilterOptions {
  /** The caller's key by its name, for rules that are for some. */
  key?: string | undefined;
  /** The key of the hashes, which a policy that hashes needs. */
  secret?: string | undefined;
  /** Placeholders of the conversation, so that they stay the same and can be put back. */
  placeholders?: Placeholders | undefined;
  /** What scans the text, beside or instead of the detectors' own. */
  scans?: readonly ((between: () => void) => Scan)[];
  now?: () => number;
}

/**
 * A filter for one text: a message, a choice of an answer, or the arguments of a tool call.
 * @throws Error if the policy hashes and there is no secret
 */
export function createFilterStream(
  policy: Policy,
  direction: Direction,
  {
    key,
    secret,
    placeholders = createPlaceholders(),
    scans = [createScan],
    now = Date.now,
  }: FilterOptions = {},
): FilterStream {
  const decide = decisionsOf(policy, direction, key);
  if (!secret && policy.rules.some(({ action }) => action === 'hash'))
    throw new Error(`The policy "${policy.name}" hashes, and for that it needs a secret.`);
  const digest = (value: string) =>
    bytesToHex(hmac(sha256, utf8ToBytes(secret!), utf8ToBytes(value))).slice(0, 16);
  const written: Record<Action, (finding: Finding, original: string) => string> = {
    allow: (_, original) => original,
    replace: ({ type, value }, original) => placeholders.of(type, value, original),
    hash: ({ type, value }) => `[${type.toUpperCase()}:${digest(value)}]`,
    mask: (_, original) => '*'.repeat([...original].length),
    refuse: () => '',
  };

  let deadline = Number.POSITIVE_INFINITY;
  const between = () => {
    if (now() > deadline) throw new Error('time limit');
  };
  const running = scans.map((create) => create(between));
  let refused: Refusal | undefined;
  /** Text from `sent` on, and what was found in it. */
  let held = '';
  let sent = 0;
  let waiting: Finding[] = [];

  function step(piece: string, last: boolean): FilterPiece {
    if (refused) return { text: '', spans: [], refused };
    held += piece;
    let settled = sent + held.length;
    try {
      deadline = now() + policy.time_limit_ms * Math.max(1, piece.length / 100_000);
      for (const scan of running) {
        const found = scan.push(piece, last);
        waiting.push(...found.findings.filter(({ type, score }) => score >= decide(type).minScore));
        if (!last) settled = Math.min(settled, found.settled);
      }
      return settle(settled);
    } catch {
      // What was found may be in the error.
      refused = { message: 'A check of the text could not be made, so it is refused.' };
      return { text: '', spans: [], refused };
    }
  }

  /** Sends on all before a place up to which everything is known. */
  function settle(limit: number): FilterPiece {
    const piece: FilterPiece = { text: '', spans: [] };
    const send = (to: number): void => {
      piece.text += held.slice(0, to - sent);
      held = held.slice(to - sent);
      sent = to;
    };
    const clusters = overlapping(waiting);
    waiting = [];
    for (const [i, cluster] of clusters.entries()) {
      if (cluster.end > limit) {
        waiting = clusters.slice(i).flatMap(({ members }) => members);
        limit = Math.min(limit, cluster.start);
        break;
      }
      const acting = cluster.members.filter(({ type }) => decide(type).action !== 'allow');
      for (const { start, end, members } of overlapping(acting.length > 0 ? acting : cluster.members)) {
        const surest = members.reduce((best, each) => (each.score > best.score ? each : best));
        const action = actions[Math.max(...members.map(({ type }) => actions.indexOf(decide(type).action)))];
        send(start);
        const stands = written[action](surest, held.slice(0, end - start));
        piece.spans.push({
          start,
          end,
          type: surest.type,
          score: surest.score,
          action,
          ...(action !== 'allow' && { written: stands }),
          why: surest.why,
          via: surest.via,
        });
        if (action === 'refuse') {
          const { type } = members.find((member) => decide(member.type).action === 'refuse')!;
          refused = { type, message: `The ${direction} holds what the policy refuses: ${type}.` };
          return { ...piece, refused };
        }
        piece.text += stands;
        held = held.slice(end - start);
        sent = end;
      }
    }
    send(limit);
    return piece;
  }

  return { push: (text) => step(text, false), end: () => step('', true) };
}

/** Scans for no more than a policy acts on: what is left as it is need not be found. */
export function scansFor(
  policy: Policy,
  direction: Direction,
  key?: string,
): NonNullable<FilterOptions['scans']> {
  const decide = decisionsOf(policy, direction, key);
  return [(between) => createScan(between, (type) => decide(type).action !== 'allow')];
}

/** One order for any findings, in whichever they were made: the first of the surest of a cluster gives it its type. */
function inOrder(a: Finding, b: Finding): number {
  return (
    a.start - b.start ||
    b.end - a.end ||
    a.via.length - b.via.length ||
    types.indexOf(a.type) - types.indexOf(b.type) ||
    (a.via.join() < b.via.join() ? -1 : 1)
  );
}

/** Findings that overlap, together; in the order of the text. */
function overlapping(findings: readonly Finding[]): { start: number; end: number; members: Finding[] }[] {
  const clusters: { start: number; end: number; members: Finding[] }[] = [];
  for (const finding of findings.toSorted(inOrder)) {
    const last = clusters.at(-1);
    if (last && finding.start < last.end) {
      last.members.push(finding);
      last.end = Math.max(last.end, finding.end);
    } else clusters.push({ start: finding.start, end: finding.end, members: [finding] });
  }
  return clusters;
}

/** A policy on a whole text. */
export function filterText(
  text: string,
  policy: Policy,
  direction: Direction,
  options?: FilterOptions,
): FilterPiece {
  const stream = createFilterStream(policy, direction, options);
  const first = stream.push(text);
  const rest = stream.end();
  return { ...rest, text: first.text + rest.text, spans: [...first.spans, ...rest.spans] };
}
