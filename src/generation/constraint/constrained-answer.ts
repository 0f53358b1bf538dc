/** A constraint at work on one answer: which tokens may come next, and how the answer is brought to its close. */
import { InvalidInputError } from '../parameters.ts';
import type { TextTokenizer } from '../text-tokenizer.ts';
import { compileAutomaton } from './automaton.ts';
import { constraintExpression, placed } from './compile-constraint.ts';
import type { Constraint } from './constraint.ts';
import { createMatcher, type Matcher, type Position } from './matcher.ts';
import { checkSize } from './size.ts';
import { childOf, createTokenTrie, type TokenTrie } from './token-trie.ts';

/** What a sampler asks. */
export interface ConstrainedAnswer {
  /**
   * Makes the logits `[vocab]` of tokens -Infinity that cannot come next. Tokens that end the answer stay where it is
   * complete.
   * @throws InvalidInputError if nothing is left to choose, or the constraint is too ambiguous to follow
   */
  restrict(logits: Float32Array): void;
  /**
   * The token to take in place of a drawn one: another only where that would leave too few tokens to come to an end
   * which can still be reached.
   */
  settle(token: number): number;
  /** Takes the token. */
  accept(token: number): void;
  /** Whether the answer is complete. */
  readonly mayEnd: boolean;
  /** Whether it is, and nothing may follow. */
  readonly finished: boolean;
  /** Whether tokens were taken only to come to an end in time. */
  readonly steered: boolean;
}

interface Vocabulary {
  vocabSize: number;
  tokenizer: TextTokenizer;
}

/** Constraints of one model that stay compiled, and states of all of them: an isolate's memory is small. */
const COMPILED = 4;
const STATES = 40_000;
/** Bytes of masks that are kept with one of them. */
const MASKS = 1_000_000;

interface Compiled {
  matcher: Matcher;
  states: number;
  /** Of positions, the tokens that may follow, a bit for each. */
  masks: WeakMap<Position, Uint32Array>;
  /** Bytes of the masks. */
  held: number;
}

interface Known {
  trie: TokenTrie;
  compiled: Map<string, Compiled>;
}

/** Made for a model when it is first constrained, and gone with it: one for each text of marks that are shown. */
const known = new WeakMap<TextTokenizer, Map<string, Known>>();
/** Texts of marks for which that is kept: answers with tools, and without. */
const MARKS = 2;

/**
 * @param ends tokens that end the answer
 * @param limit tokens of the answer at most
 * @param marks marks with their names in this text are written as these, though marks write nothing as a rule
 * @throws InvalidInputError if the constraint is not right, cannot be enforced or would be too large
 */
export function constrainAnswer(
  model: Vocabulary,
  constraint: Constraint,
  ends: ReadonlySet<number>,
  limit: number,
  marks = '',
): ConstrainedAnswer {
  const { trie, compiled } = knownOf(model, marks);
  const own = compiledOf(compiled, constraint);
  const { matcher } = own;
  const { tokenizer } = model;
  const at = constraint.at ?? 'constraint';
  let [position, written, steered] = [matcher.start, 0, false];
  /** Tokens with which the answer can be closed from here, where they had to be looked for. */
  let plan: number[] | undefined;

  return {
    restrict(logits) {
      try {
        matcher.allow();
        const mask = maskOf(position);
        let left = false;
        for (let id = 0; id < logits.length; id++) {
          const may = id < trie.size && ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
          if (!may && !(position.accepting && ends.has(id))) logits[id] = -Infinity;
          else left ||= logits[id] > -Infinity;
        }
        if (!left) throw new InvalidInputError(nothingLeft);
      } catch (error) {
        throw placed(error, at);
      }
    },
    settle(token) {
      if (ends.has(token)) return token;
      const left = limit - written - 1;
      const next = after(position, token);
      // An end that lies so many bytes away needs no more tokens than that, where each byte has a token of its own.
      if (next.toEnd <= left && trie.complete) {
        plan = undefined;
        return token;
      }
      const planned = plan?.[0] === token ? plan.slice(1) : closing(next, left);
      if (planned) {
        plan = planned;
        return token;
      }
      const instead = plan ?? closing(position, left + 1);
      if (!instead) return token;
      if (instead.length === 0) {
        // Complete as it is; what would follow does not fit any more.
        const [end = token] = ends;
        steered ||= end !== token;
        return end;
      }
      plan = instead.slice(1);
      steered ||= instead[0] !== token;
      return instead[0];
    },
    accept(token) {
      if (!ends.has(token) || spells(position, token)) position = after(position, token);
      written++;
    },
    get mayEnd() {
      return position.accepting;
    },
    get finished() {
      return position.accepting && (position.final || maskOf(position).every((bits) => bits === 0));
    },
    get steered() {
      return steered;
    },
  };

  function maskOf(of: Position): Uint32Array {
    const first = written === 0 && tokenizer.dropsFirstSpace;
    let mask = first ? undefined : own.masks.get(of);
    if (!mask) {
      mask = new Uint32Array(Math.ceil(trie.size / 32));
      if (first) {
        // The space that the first token begins with is not written.
        const space = childOf(trie, -1, 0x20);
        mark(mask, of, 0, space < 0 ? 0 : space);
        if (space >= 0) {
          mark(mask, of, space + 1, trie.after[space], 1);
          mark(mask, of, trie.after[space], trie.byte.length);
        }
        if (space < 0) mark(mask, of, 0, trie.byte.length);
        return mask;
      }
      mark(mask, of, 0, trie.byte.length);
      if (own.held > MASKS) Object.assign(own, { masks: new WeakMap(), held: 0 });
      own.held += mask.byteLength;
      own.masks.set(of, mask);
    }
    return mask;
  }

  /** Marks the tokens of nodes `from` to `to` that may follow; `above`: how deep the nodes' root lies. */
  function mark(mask: Uint32Array, of: Position, from: number, to: number, above = 0): void {
    const { byte, depth, after: behind, first, tokens } = trie;
    const path: Position[] = [of];
    for (let node = from; node < to; ) {
      const level = depth[node] - above;
      const reached = matcher.step(path[level - 1], byte[node]);
      if (!reached) {
        node = behind[node];
        continue;
      }
      path[level] = reached;
      for (let i = first[node]; i < first[node + 1]; i++) mask[tokens[i] >> 5] |= 1 << (tokens[i] & 31);
      node++;
    }
  }

  function spellingOf(token: number): Uint8Array {
    const bytes = tokenizer.spelling(token, marks) ?? new Uint8Array();
    return written === 0 && tokenizer.dropsFirstSpace && bytes[0] === 0x20 ? bytes.subarray(1) : bytes;
  }

  function spells(from: Position, token: number): boolean {
    let at: Position | null = from;
    for (const byte of spellingOf(token)) if (at) at = matcher.step(at, byte);
    return at !== null;
  }

  function after(from: Position, token: number): Position {
    let at = from;
    for (const byte of spellingOf(token)) {
      const next = matcher.step(at, byte);
      if (!next) throw new Error(`Token ${token} does not fit the constraint.`);
      at = next;
    }
    return at;
  }

  /** The fewest tokens for the bytes of the shortest way to an end; undefined if they are more than `most`. */
  function closing(from: Position, most: number): number[] | undefined {
    if (from.toEnd > most * trie.deepest) return undefined;
    const bytes: number[] = [];
    for (let at = from; at.toEnd > 0; at = matcher.step(at, bytes.at(-1)!)!)
      bytes.push(matcher.closingByte(at));
    if (written === 0 && tokenizer.dropsFirstSpace && bytes[0] === 0x20) return undefined;
    // Of each place, the fewest tokens to it, and the last of them with the place that it begins at.
    const fewest = [0, ...bytes.map(() => Infinity)];
    const last: { token: number; from: number }[] = [];
    for (let place = 0; place < bytes.length; place++) {
      if (fewest[place] === Infinity) continue;
      let node = -1;
      for (let end = place; end < bytes.length; end++) {
        node = childOf(trie, node, bytes[end]);
        if (node < 0) break;
        if (trie.first[node] === trie.first[node + 1] || fewest[place] + 1 >= fewest[end + 1]) continue;
        fewest[end + 1] = fewest[place] + 1;
        last[end + 1] = { token: trie.tokens[trie.first[node]], from: place };
      }
    }
    if (fewest[bytes.length] > most) return undefined;
    const tokens: number[] = [];
    for (let place = bytes.length; place > 0; place = last[place].from) tokens.unshift(last[place].token);
    return tokens;
  }
}

const nothingLeft =
  'The constraint leaves nothing to choose: the tokens with which the answer could go on are ruled out by other parameters (allowed_token_ids, bad_words, min_tokens, ignore_eos), or are not in the model’s vocabulary.';

function knownOf({ vocabSize, tokenizer }: Vocabulary, marks: string): Known {
  const all = known.get(tokenizer) ?? new Map<string, Known>();
  known.set(tokenizer, all);
  let of = all.get(marks);
  if (!of) {
    const trie = createTokenTrie(vocabSize, (id) => tokenizer.spelling(id, marks));
    of = { trie, compiled: new Map() };
    if (all.size >= MARKS) all.delete(all.keys().next().value!);
    all.set(marks, of);
  }
  return of;
}

/**
 * Compiles a constraint before anything is answered under it.
 * @throws InvalidInputError as `constrainAnswer`
 */
export function checkConstraint(model: Vocabulary, constraint: Constraint, marks = ''): void {
  compiledOf(knownOf(model, marks).compiled, constraint);
}

/** Compiled, from memory where it was used lately. */
function compiledOf(compiled: Map<string, Compiled>, constraint: Constraint): Compiled {
  const { at = 'constraint', ...rest } = constraint;
  checkSize(rest, at);
  const key = JSON.stringify(rest);
  let of = compiled.get(key);
  compiled.delete(key);
  if (!of) {
    try {
      const automaton = compileAutomaton(constraintExpression(constraint));
      of = {
        matcher: createMatcher(automaton),
        states: automaton.bytes.length,
        masks: new WeakMap(),
        held: 0,
      };
    } catch (error) {
      throw placed(error, at);
    }
  }
  compiled.set(key, of);
  let states = [...compiled.values()].reduce((sum, each) => sum + each.states, 0);
  for (const [oldest, each] of compiled) {
    if (oldest === key || (compiled.size <= COMPILED && states <= STATES)) break;
    compiled.delete(oldest);
    states -= each.states;
  }
  return of;
}
