/** Calls of tools read out of what a model writes, while it is written. */
import { firstPending } from '../stop.ts';
import type { ArgumentForm, ArgumentsSchema, Cursor, Reading } from './argument-form.ts';
import type { NamedCall, ToolCallFormat } from './format.ts';

/** Text for the reader of the answer, or a piece of call number `call`: the first has its name, all its arguments. */
export type AnswerPart = { text: string } | { call: number; name?: string; arguments: string };

export interface ToolCallReader {
  /** Takes the next piece of text; returns what is certain by now. */
  push(text: string): AnswerPart[];
  /** What was held back, at the end of the text. */
  end(): AnswerPart[];
  /** How many calls have begun. */
  readonly calls: number;
}

export interface ReaderOptions {
  /** The schemas of the arguments of the functions that may be called, by their names. */
  schemas: ReadonlyMap<string, ArgumentsSchema>;
  /** Whether a constraint holds the model to a call that it has begun: its arguments are then passed on at once. */
  enforced: boolean;
  /** Whether an answer may have more than one call; what is written behind the only one is not read. */
  parallel: boolean;
}

/** What is no call after all. */
const broken = Symbol('broken');
/** A call that cannot break any more, cut off by the end of the text. */
const cut = Symbol('cut');

/**
 * A reader of one answer. What is read is the same however the text is cut into pieces. What looks like a call and is
 * none (no JSON, no function of that name) comes out as the text that it is; so a call that nothing holds the model to
 * is held back until it is whole. White space before a call and between calls is dropped.
 */
export function createToolCallReader(
  { openings, trigger, bare, reads, closings, arguments: form }: ToolCallFormat,
  { schemas, enforced, parallel }: ReaderOptions,
): ToolCallReader {
  /** The text from place `base` on; places are counted from the beginning of the answer. */
  let [text, base] = ['', 0];
  /** Where reading is, and up to where all has been passed on or dropped. */
  let [at, passed] = [0, 0];
  let ended = false;
  let parts: AnswerPart[] = [];
  let calls = 0;
  /** Whether no text stands before this place but white space, or the last call. */
  let fresh = true;
  let finished = false;
  const cursor: Cursor = { peek, next, literal, expect, space, word, until, fail };
  const machine = answer();
  machine.next();

  return {
    push(piece) {
      if (finished) return [];
      text += piece;
      return advance();
    },
    end() {
      if (finished) return [];
      ended = true;
      return advance();
    },
    get calls() {
      return calls;
    },
  };

  function advance(): AnswerPart[] {
    machine.next();
    text = text.slice(passed - base);
    base = passed;
    const ready = parts;
    parts = [];
    return ready;
  }

  function* answer(): Reading<void> {
    for (;;) {
      const opening = yield* content();
      if (opening === undefined) return;
      const before = calls;
      try {
        yield* block(opening);
      } catch (thrown) {
        if (thrown === cut) return;
        if (thrown !== broken) throw thrown;
        // What the end cuts off behind a whole call is the beginning of one more, or the marks that close it.
        if (ended && enforced && calls > before) return;
        pass(at);
      }
      if (calls > 0 && !parallel) {
        finished = true;
        return;
      }
    }
  }

  /** Passes text on as far as no call may have begun in it. Returns what a call begins with, undefined at the end. */
  function* content(): Reading<string | undefined> {
    for (;;) {
      const rest = text.slice(passed - base);
      const blank = rest.search(/\S/);
      if (bare && fresh && blank >= 0 && rest[blank] === bare) {
        at = passed + blank;
        return '';
      }
      const found = openings
        .map((opening) => ({ opening, place: rest.indexOf(opening) }))
        .filter(({ place }) => place >= 0)
        .sort((a, b) => a.place - b.place || b.opening.length - a.opening.length)[0];
      const pending = ended ? rest.length : firstPending(rest, openings);
      if (found && found.place <= pending) {
        pass(passed + rest.slice(0, found.place).trimEnd().length);
        at = base + text.length - rest.length + found.place;
        // One that is a beginning of the JSON itself is read with it.
        if (!found.opening.startsWith('{')) at += found.opening.length;
        return found.opening;
      }
      if (ended) {
        if (blank >= 0 || calls === 0 || !fresh) pass(passed + rest.length);
        return undefined;
      }
      pass(passed + rest.slice(0, pending).trimEnd().length);
      yield;
    }
  }

  /** A call, or what stands round several. */
  function* block(opening: string): Reading<void> {
    yield* space();
    if (reads !== 'json' && reads.listed) {
      yield* expect('[');
      do {
        yield* space();
        yield* namedCall(reads, opening === trigger);
      } while (parallel && (yield* another(',')));
      if (yield* another(']')) passed = at;
    } else if (reads !== 'json') {
      if (reads.before && opening !== reads.before) yield* expect(reads.before);
      do {
        yield* namedCall(reads, opening === trigger);
        while (yield* oneOf(closings));
      } while (parallel && reads.before && (yield* another(reads.before)));
    } else if ((yield* peek()) === '[') {
      at++;
      do yield* jsonCall(opening === trigger);
      while (parallel && (yield* another(',')));
      if (yield* another(']')) passed = at;
    } else yield* jsonCall(opening === trigger);
    while (yield* oneOf(closings));
  }

  /** `{"name": …, "arguments": {…}}` */
  function* jsonCall(triggered: boolean): Reading<void> {
    yield* space();
    const start = at;
    yield* expect('{');
    let name: string | undefined;
    let given: string | typeof passedOn | undefined;
    do {
      yield* space();
      const key = yield* string();
      yield* space();
      yield* expect(':');
      yield* space();
      if (key === 'name' && name === undefined) name = known(yield* string());
      else if ((key === 'arguments' || key === 'parameters') && given === undefined) {
        const held = triggered || text.startsWith(trigger, start - base);
        given = yield* callArguments(name !== undefined && enforced && held ? name : undefined);
      } else if (key === 'id' || key === 'type') yield* string();
      else throw broken;
      yield* space();
    } while (yield* literal(','));
    yield* expect('}');
    if (name === undefined) throw broken;
    // Arguments that were passed on as they came are done with.
    if (given !== passedOn) call(name, given ?? '{}');
    passed = at;
  }

  /** A name, and the arguments behind it. */
  function* namedCall({ id, after }: NamedCall, triggered: boolean): Reading<void> {
    const name = known(yield* word());
    if (id && (yield* literal(id))) yield* word();
    yield* expect(after);
    const held = triggered && enforced;
    if (form) return yield* formedArguments(form, name, held);
    yield* space();
    const given = yield* callArguments(held ? name : undefined);
    if (given !== passedOn) call(name, given);
    passed = at;
  }

  /** Arguments of another form, which become a JSON object. @param held whether each can be passed on when it is whole */
  function* formedArguments({ read }: ArgumentForm, name: string, held: boolean): Reading<void> {
    if (held) {
      call(name, '');
      passed = at;
    }
    let json = '{';
    let sent = 0;
    yield* read(cursor, schemas.get(name), (key, value) => {
      json += `${json === '{' ? '' : ', '}${JSON.stringify(key)}: ${JSON.stringify(value)}`;
      if (!held) return;
      more(json.slice(sent));
      sent = json.length;
    });
    json += '}';
    if (held) more(json.slice(sent));
    else call(name, json);
    passed = at;
  }

  /** A JSON object, or a text that holds one. @param name of the call, if they can be passed on as they come */
  function* callArguments(name: string | undefined): Reading<string | typeof passedOn> {
    const first = yield* peek();
    if (first === '"') return objectIn(yield* string());
    if (first !== '{') throw broken;
    if (name !== undefined) {
      call(name, '');
      passed = at;
    }
    const start = at;
    let [depth, inString, escaped] = [0, false, false];
    do {
      while (at - base >= text.length) {
        if (name !== undefined) more(slice(passed, at));
        if (name !== undefined && ended) throw cut;
        if (ended) throw broken;
        yield;
      }
      const sign = text[at++ - base];
      if (inString) {
        if (escaped) escaped = false;
        else if (sign === '\\') escaped = true;
        else inString = sign !== '"';
      } else if (sign === '"') inString = true;
      else if (sign === '{' || sign === '[') depth++;
      else if (sign === '}' || sign === ']') depth--;
    } while (depth > 0);
    if (name === undefined) return objectIn(slice(start, at));
    more(slice(passed, at));
    return passedOn;
  }

  function* string(): Reading<string> {
    const start = at;
    yield* expect('"');
    for (let sign = yield* next(); sign !== '"'; sign = yield* next()) if (sign === '\\') yield* next();
    return parsed(slice(start, at)) as string;
  }

  function* until(word: string): Reading<string> {
    const start = at;
    for (let from = at; ; yield) {
      const found = text.indexOf(word, from - base);
      if (found >= 0) {
        at = base + found + word.length;
        return slice(start, base + found);
      }
      if (ended) throw broken;
      from = Math.max(start, base + text.length - word.length + 1);
    }
  }

  /** Letters, digits and what else names and ids are made of. */
  function* word(): Reading<string> {
    const start = at;
    while (/[\w.-]/.test(yield* peek())) at++;
    return slice(start, at);
  }

  /** Whether a literal follows, behind white space perhaps; if not, the white space is not read either. */
  function* another(word: string): Reading<boolean> {
    const start = at;
    yield* space();
    if (yield* literal(word)) return true;
    at = start;
    return false;
  }

  /** Whether one of these follows; one that the end of the text cuts off does, too. */
  function* oneOf(words: readonly string[]): Reading<boolean> {
    for (const each of words) {
      if (!(yield* another(each))) continue;
      passed = at;
      return true;
    }
    const rest = slice(at, base + text.length).trim();
    if (ended && rest !== '' && words.some((each) => each.startsWith(rest))) passed = at = base + text.length;
    return false;
  }

  function* literal(word: string): Reading<boolean> {
    for (let i = 0; i < word.length; i++) {
      while (at + i - base >= text.length) {
        if (ended) return false;
        yield;
      }
      if (text[at + i - base] !== word[i]) return false;
    }
    at += word.length;
    return true;
  }

  function* expect(word: string): Reading<void> {
    if (!(yield* literal(word))) throw broken;
  }

  function* space(): Reading<void> {
    while (/\s/.test(yield* peek())) at++;
  }

  /** The next sign; at the end, and only there, an empty one. */
  function* peek(): Reading<string> {
    while (at - base >= text.length) {
      if (ended) return '';
      yield;
    }
    return text[at - base];
  }

  function* next(): Reading<string> {
    const sign = yield* peek();
    if (sign === '') throw broken;
    at++;
    return sign;
  }

  function fail(): never {
    throw broken;
  }

  function slice(from: number, to: number): string {
    return text.slice(from - base, to - base);
  }

  /** Passes text on up to a place. */
  function pass(to: number): void {
    const added = slice(passed, to);
    passed = at = to;
    if (added === '') return;
    if (/\S/.test(added)) fresh = false;
    const last = parts.at(-1);
    if (last && 'text' in last) last.text += added;
    else parts.push({ text: added });
  }

  /** Begins a call. */
  function call(name: string, given: string): void {
    parts.push({ call: calls++, name, arguments: given });
    fresh = true;
  }

  /** Passes on more of the last call's arguments. */
  function more(added: string): void {
    passed = at;
    const last = parts.at(-1);
    if (last && 'call' in last) last.arguments += added;
    else if (added) parts.push({ call: calls - 1, arguments: added });
  }

  function known(name: string): string {
    if (!schemas.has(name)) throw broken;
    return name;
  }
}

/** Stands for arguments that were passed on while they came. */
const passedOn = Symbol('passed on');

/** @throws broken if a text is no JSON object */
function objectIn(json: string): string {
  const value = parsed(json);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken;
  return json;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw broken;
  }
}
