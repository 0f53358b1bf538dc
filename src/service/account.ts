/** What one request comes to, for the log and the metrics: never what was asked or answered. */
import type { Metrics } from './metrics.ts';

/** One request as the log shows it. */
export interface LogEntry {
  method: string;
  path: string;
  /** That of its failure, where it failed in the middle of its stream; 499 where its caller left. */
  status: number;
  /** Milliseconds from its arrival to its end. */
  ms: number;
  /** The request's id, which the edge has given it. */
  id: string;
  model?: string;
  /** The code of its failure. */
  error?: string;
  prompt_tokens?: number;
  /** Of the answer. */
  tokens?: number;
  /** Of the prompt, found in the cache. */
  cached_tokens?: number;
  images?: number;
  /** Milliseconds in the line, and until the first token. */
  queue_ms?: number;
  first_token_ms?: number;
}

/** What an account knows of events, whichever they are. */
interface AnyEvent {
  type: string;
  prompt_tokens?: number;
  tokens?: unknown;
  timings?: { queue?: number };
  usage?: { prompt_tokens_details?: { cached_tokens?: number } };
  status?: number;
  error?: { code: string | null };
}

export interface Account {
  /** An event has happened. */
  told(event: { type: string }): void;
  /** The request is over. */
  end(left: boolean): void;
}

/** Opens the account of a request that was admitted by a model. */
export function openAccount(
  { path, model, id }: { path: string; model: string; id: string },
  metrics: Metrics,
  log: (entry: LogEntry) => void,
): Account {
  const came = performance.now();
  const since = (then: number) => Math.round(10 * (performance.now() - then)) / 10;
  const entry: LogEntry = { method: 'POST', path, status: 200, ms: 0, id, model };
  let last: number | undefined;
  let over = false;

  const events: Readonly<Record<string, (event: AnyEvent) => void>> = {
    start({ prompt_tokens, timings }) {
      if (timings?.queue !== undefined) {
        entry.queue_ms = timings.queue;
        metrics.queue(model, timings.queue / 1000);
      }
      if (prompt_tokens === undefined) return;
      [entry.prompt_tokens, entry.tokens] = [prompt_tokens, 0];
      metrics.tokens(model, { prompt: prompt_tokens });
    },
    delta: tokens,
    tool_call: tokens,
    image() {
      entry.images = (entry.images ?? 0) + 1;
      metrics.image(model);
    },
    done({ usage }) {
      const cached = usage?.prompt_tokens_details?.cached_tokens;
      if (cached === undefined) return;
      entry.cached_tokens = cached;
      metrics.tokens(model, { cached });
    },
    error({ status, error }) {
      entry.status = status ?? 500;
      if (error?.code) entry.error = error.code;
    },
  };

  function tokens({ tokens }: AnyEvent): void {
    const count = (tokens as unknown[]).length;
    entry.tokens = (entry.tokens ?? 0) + count;
    metrics.tokens(model, { generated: count });
    if (last === undefined) {
      entry.first_token_ms = since(came);
      metrics.firstToken(model, entry.first_token_ms / 1000);
    } else if (count > 0) metrics.interToken(model, (performance.now() - last) / 1000 / count, count);
    last = performance.now();
  }

  return {
    told: (event) => events[event.type]?.(event),
    end(left) {
      if (over) return;
      over = true;
      if (left) Object.assign(entry, { status: 499, error: 'caller_left' });
      entry.ms = since(came);
      metrics.request(path, entry.status);
      log(entry);
    },
  };
}
