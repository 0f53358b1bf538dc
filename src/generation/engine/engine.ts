/**
 * Continuous batching (Yu et al., 2022: Orca): many sequences of one model, each asked for a step at a time, are
 * computed together in turns. They come and go at any turn, long prompts are read in pieces beside the others' steps,
 * beginnings that are known are not computed again, and who finds no room in the cache waits or gives it back for a
 * while. What a sequence is given is the same as alone, bit by bit.
 */
import type { DecodingState, Savings } from '../kv-cache.ts';
import { macrotask } from '../macrotask.ts';
import { createAdmission } from './admission.ts';
import type { Decoder, StepRow } from './decoder.ts';
import { planTurn, type Share } from './plan.ts';
import { createLookup, createSpeculation, type Proposer, type Speculation } from './speculation.ts';
import { createTurnCost } from './turn-cost.ts';
import { dropAhead, todo, type Work } from './work.ts';

export interface EngineOptions {
  /** Tokens of a sequence at most. */
  contextLength: number;
  /** What keys and values may take of memory. */
  cacheBytes: number;
  /** Sequences that are computed together at most. */
  maxSequences?: number;
  /** Tokens of prompts in one turn at most. */
  promptTokens?: number;
  /** Whether what a text has said before is proposed when it begins to say it again. */
  lookup?: boolean;
  /** What else proposes tokens to a sequence under this salt. */
  draft?: (salt: string) => Proposer;
  /** Is called after each turn, and when a sequence has left. */
  onChange?: () => void;
}

/** What is said of a sequence. */
export interface OpenOptions {
  /** Sequences under different salts share nothing. */
  salt?: string;
  /** Smaller is served first. */
  priority?: number;
  /** Frees the sequence within a turn, and fails the step that it waits for. */
  signal?: AbortSignal;
}

/** A sequence: one step at a time. */
export interface EngineState extends DecodingState {
  /** Forgets the tokens from `length` on. */
  truncate(length: number): void;
  readonly savings: Savings;
}

export interface EngineStats {
  /** Sequences that wait for room in the cache. */
  waiting: number;
  /** Sequences that hold keys and values. */
  running: number;
  /** Sequences in the last turn. */
  batch: number;
  /** Tokens that keys and values are held of, those of known beginnings alone, and for which there is room in all. */
  cache_tokens: number;
  prefix_tokens: number;
  cache_capacity: number;
  /** Since the engine was made: turns, tokens of prompts and of answers that were computed. */
  turns: number;
  prefill_tokens: number;
  decode_tokens: number;
  /** Tokens of prompts that were asked for, and those of them found in the cache. */
  prompt_tokens: number;
  cached_tokens: number;
  preemptions: number;
  proposed_tokens: number;
  accepted_tokens: number;
}

export interface Engine {
  /** Tokens that a sequence can have: as many as the model and the cache hold. */
  readonly contextLength: number;
  open(options?: OpenOptions): EngineState;
  stats(): EngineStats;
}

/**
 * A turn with tokens of answers may take so many times as long when it reads prompts, too, and reads at least so many
 * tokens of them.
 */
const [DELAY, LEAST] = [3, 16];
/** For so many rounds of the event loop a turn waits for sequences that were served in the last. */
const PATIENCE = 24;

/** @throws Error if the cache has room for less than 32 tokens */
export function createEngine(decoder: Decoder, options: EngineOptions): Engine {
  const { cacheBytes, maxSequences = 64, lookup = true, draft, onChange = () => {} } = options;
  const { promptTokens = 512 } = options;
  const capacity = Math.floor(cacheBytes / Math.max(1, decoder.bytesPerToken));
  if (capacity < 32)
    throw new Error(
      `A cache of ${cacheBytes} bytes has room for ${capacity} tokens of this model, of ${decoder.bytesPerToken} bytes each; 32 are the least.`,
    );
  const contextLength = Math.min(options.contextLength, capacity);
  const admission = createAdmission(decoder, capacity, maxSequences);
  const cost = createTurnCost();
  const open = new Set<Work>();
  /** Closed, but perhaps in the turn that runs. */
  const left = new Set<Work>();
  /** Served in the last turn and expected in the next. */
  const expected = new Set<Work>();
  const counts = { turns: 0, prefill_tokens: 0, decode_tokens: 0, prompt_tokens: 0, cached_tokens: 0 };
  const speculated = { proposed_tokens: 0, accepted_tokens: 0 };
  let [order, batch, running] = [0, 0, false];

  return {
    contextLength,
    open: openSequence,
    stats: () => ({
      waiting: inLine().length,
      running: admission.admitted.size,
      batch: running ? batch : 0,
      cache_tokens: admission.used,
      prefix_tokens: admission.kept,
      cache_capacity: capacity,
      ...counts,
      preemptions: admission.preemptions,
      ...speculated,
    }),
  };

  function inLine(): Work[] {
    return [...open].filter((work) => work.waiter && !work.rows);
  }

  function openSequence({ salt = '', priority = 0, signal }: OpenOptions = {}): EngineState {
    const work: Work = {
      ...{ salt, priority, order: order++, speculation: speculationOf(salt) },
      ...{ tokens: [], promptLength: 0, ahead: { tokens: [], logits: [] } },
      ...{ wanted: 0, logits: [], computed: 0, shared: false, served: 0 },
    };
    open.add(work);
    const abort = () => close(signal!.reason);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) close(signal.reason);
    return {
      step: async (tokens) => (await take(work, tokens, 1))[0],
      steps: (tokens) => take(work, tokens, tokens.length),
      truncate(length) {
        if (work.waiter) throw new Error('A sequence that is in a step cannot be cut.');
        dropAhead(work);
        work.tokens.length = Math.min(work.tokens.length, length);
        work.computed = Math.min(work.computed, work.tokens.length);
      },
      get savings() {
        const { proposed = 0, accepted = 0 } = work.speculation ?? {};
        return { cached: work.cached ?? 0, proposed, accepted };
      },
      close: () => close(),
    };

    function close(reason: unknown = new Error('This sequence was closed.')): void {
      signal?.removeEventListener('abort', abort);
      if (!open.delete(work)) return;
      work.speculation?.close();
      expected.delete(work);
      left.add(work);
      const { waiter } = work;
      work.waiter = undefined;
      waiter?.reject(reason);
      if (!running) freeLeft();
    }
  }

  function speculationOf(salt: string): Speculation | undefined {
    const proposers = [...(lookup ? [createLookup()] : []), ...(draft ? [draft(salt)] : [])];
    return proposers.length > 0 ? createSpeculation(proposers) : undefined;
  }

  /** Takes tokens; resolves with the logits after the last `wanted` of them. */
  async function take(work: Work, tokens: readonly number[], wanted: number): Promise<Float32Array[]> {
    if (!open.has(work)) throw new Error('This sequence was closed.');
    if (work.waiter) throw new Error('This sequence is in a step already.');
    if (tokens.length === 0) throw new Error('A step has no tokens; it needs one or more.');
    if (work.tokens.length + tokens.length > contextLength)
      throw new Error(
        `A sequence of ${work.tokens.length} tokens cannot take ${tokens.length} more: there is room for ${contextLength}.`,
      );
    const { ahead } = work;
    if (tokens.length === 1 && tokens[0] === ahead.tokens[0]) {
      work.speculation!.accept();
      speculated.accepted_tokens++;
      work.tokens.push(ahead.tokens.shift()!);
      return [ahead.logits.shift()!];
    }
    dropAhead(work);
    work.tokens.push(...tokens);
    if (work.promptLength === 0) work.promptLength = work.tokens.length;
    work.wanted = wanted;
    work.logits = [];
    expected.delete(work);
    const { promise, resolve, reject } = Promise.withResolvers<Float32Array[]>();
    work.waiter = { resolve, reject };
    if (!running) void run();
    return promise;
  }

  /** Turn after turn, until nobody waits for one. */
  async function run(): Promise<void> {
    running = true;
    try {
      for (;;) {
        await gather();
        freeLeft();
        admission.admit(inLine());
        const plan = planTurn(admission.admitted, promptTokensBeside);
        if (plan.length === 0) return;
        await turn(plan);
        onChange();
      }
    } catch (error) {
      for (const work of open) fail(work, error);
    } finally {
      running = false;
      freeLeft();
      onChange();
    }
  }

  function promptTokensBeside(steps: number): number {
    if (steps === 0 || cost.perToken === 0) return promptTokens;
    const bearable = Math.floor(((DELAY - 1) * cost.of(steps)) / cost.perToken);
    return Math.min(promptTokens, Math.max(LEAST, bearable));
  }

  /** Lets everything else run once; then waits a little for those who were served last. */
  async function gather(): Promise<void> {
    await macrotask();
    for (let round = 0; expected.size > 0 && round < PATIENCE; round++) await macrotask();
    expected.clear();
  }

  function freeLeft(): void {
    if (left.size === 0) return;
    for (const work of left) {
      if (work.rows) admission.share(work);
      admission.release(work);
    }
    left.clear();
    onChange();
  }

  async function turn(plan: readonly Share[]): Promise<void> {
    const proposals = await proposalsFor(plan);
    const rows = plan.flatMap(({ work, tokens }, i): { work: Work; row: StepRow; ahead: number[] }[] => {
      if (!work.waiter) return [];
      const { rows: sequence, computed, wanted } = work;
      if (sequence!.length > computed) decoder.truncate(sequence!, computed);
      const end = computed + tokens;
      const logits = end - Math.max(computed, Math.min(end, work.tokens.length - wanted));
      const ahead = [...proposals[i]];
      const row = {
        sequence: sequence!,
        tokens: [...work.tokens.slice(computed, end), ...ahead],
        logits: logits + ahead.length,
      };
      return [{ work, row, ahead }];
    });
    if (rows.length === 0) return;
    counts.turns++;
    batch = rows.length;
    const began = performance.now();
    const results = await stepAll(rows);
    cost.learn(
      rows.reduce((sum, { row }) => sum + row.tokens.length, 0),
      performance.now() - began,
    );
    for (const [i, { work, row, ahead }] of rows.entries()) {
      const logits = results[i];
      if (!logits) continue;
      const own = row.tokens.length - ahead.length;
      counts[own === 1 && work.shared ? 'decode_tokens' : 'prefill_tokens'] += own;
      work.served = counts.turns;
      work.computed = row.sequence.length;
      if (!work.waiter) continue;
      work.logits.push(...logits.slice(0, logits.length - ahead.length));
      work.ahead.tokens.push(...ahead);
      work.ahead.logits.push(...logits.slice(logits.length - ahead.length));
      if (todo(work) === 0) serve(work);
    }
  }

  /** The logits of each row; of one whose step fails none, and its sequence is told. */
  async function stepAll(
    rows: readonly { work: Work; row: StepRow }[],
  ): Promise<(Float32Array[] | undefined)[]> {
    try {
      return await decoder.step(rows.map(({ row }) => row));
    } catch (error) {
      if (rows.length > 1) {
        // One may be to blame: each alone.
        const results: (Float32Array[] | undefined)[] = [];
        for (const each of rows) results.push((await stepAll([each]))[0]);
        return results;
      }
      fail(rows[0].work, error);
      return [undefined];
    }
  }

  function serve(work: Work): void {
    if (!work.shared) {
      work.shared = true;
      admission.share(work);
      counts.prompt_tokens += work.promptLength;
      counts.cached_tokens += work.cached!;
    }
    const { waiter, logits } = work;
    work.waiter = undefined;
    work.logits = [];
    expected.add(work);
    waiter!.resolve(logits);
  }

  function fail(work: Work, error: unknown): void {
    const { waiter } = work;
    work.waiter = undefined;
    waiter?.reject(error);
  }

  /** Tokens that may follow those of each share, where they are likely to pay. */
  async function proposalsFor(plan: readonly Share[]): Promise<(readonly number[])[]> {
    const tokens = plan.reduce((sum, share) => sum + share.tokens, 0);
    const price = { more: cost.perToken, usual: cost.of(tokens) / tokens };
    let room = capacity - admission.used;
    const found = await Promise.all(
      plan.map(async ({ work }) => {
        const { speculation, shared, wanted } = work;
        const most = Math.min(contextLength - work.tokens.length, room);
        if (!speculation || !shared || todo(work) !== 1 || wanted !== 1 || most <= 0) return [];
        try {
          const proposal = await speculation.propose(work.tokens, most, price);
          return work.waiter ? proposal : [];
        } catch (error) {
          fail(work, error);
          return [];
        }
      }),
    );
    return found.map((proposal) => {
      const fits = proposal.slice(0, Math.max(0, room));
      room -= fits.length;
      speculated.proposed_tokens += fits.length;
      return fits;
    });
  }
}
