/** Traces in files: answers that were asked for with `trace`, whole or as their streams were saved. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type RequestTrace, type TokenTrace, tokenTrace, wickAnswerOfOne } from '../api/trace.ts';

/** An answer's trace: of the whole, and of each choice's tokens. */
export interface AnswerTrace {
  request: RequestTrace;
  choices: TokenTrace[][];
}

/** Bytes of a file that can be a trace. */
const FILE_BYTES = 100_000_000;

const wick = wickAnswerOfOne.optional();
const part = z.object({
  /** Of the events of a response, those that have all that came before. */
  response: z.object({ wick }).optional(),
  choices: z
    .array(
      z.object({
        index: z.number().int().min(0).max(4095),
        wick: z.object({ trace: z.array(tokenTrace).optional() }).optional(),
      }),
    )
    .default([]),
  wick,
});

/**
 * Reads a trace from a file.
 * @throws Error with a sentence if there is none in it
 */
export function readTraceFile(path: string): AnswerTrace {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    throw new Error(`There is no file ${path} that can be read.`);
  }
  if (bytes.length > FILE_BYTES) throw new Error(`${path} is too large to be a trace.`);
  return parseTrace(bytes.toString(), path);
}

/**
 * The trace in an answer: one JSON object, or the server-sent events of a stream.
 * @param name of where it is from, for errors
 * @throws Error with a sentence if there is none in it
 */
export function parseTrace(text: string, name: string): AnswerTrace {
  const choices: TokenTrace[][] = [];
  let request: RequestTrace | undefined;
  for (const json of partsOf(text, name)) {
    const { success, data } = part.safeParse(json);
    if (!success) throw new Error(`${name} is not an answer with a trace.`);
    request ??= data.wick?.trace ?? data.response?.wick?.trace;
    // An answer that can have no second choice has the tokens of its one beside the rest.
    const all = data.response?.wick?.tokens;
    const tokens = data.wick?.tokens;
    if (all) choices[0] = all;
    else if (tokens) choices[0] = [...(choices[0] ?? []), ...tokens];
    for (const { index, wick } of data.choices) {
      if (!wick?.trace) continue;
      choices[index] ??= [];
      choices[index].push(...wick.trace);
    }
  }
  if (!request) throw new Error(`${name} has no trace: it is an answer to a request with "trace": true.`);
  return { request, choices: Array.from(choices, (tokens) => tokens ?? []) };
}

function partsOf(text: string, name: string): unknown[] {
  const trimmed = text.trim();
  const isStream = /^(data:|event:|:)/.test(trimmed);
  const parts = isStream
    ? trimmed.split('\n').flatMap((line) => (line.startsWith('data: {') ? [line.slice(6)] : []))
    : [trimmed];
  try {
    return parts.map((each) => JSON.parse(each) as unknown);
  } catch {
    throw new Error(`${name} is neither JSON nor a stream of events.`);
  }
}
