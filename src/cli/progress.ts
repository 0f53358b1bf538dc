/** Progress of what takes long: one line redrawn on a terminal, now and then a line elsewhere; always on stderr. */
import { formatBytes, formatCount, formatDuration } from './output.ts';

export interface Progress {
  /** How far it is; `extra` stands at the end of the line. */
  update(done: number, extra?: string): void;
  finish(summary?: string): void;
}

/** Milliseconds between two lines. */
const intervals = { terminal: 100, log: 10_000 };

/** Shows how far, at what rate, and how long it still takes. What ends within two seconds shows nothing. */
export function createProgress({
  label,
  total,
  unit,
}: {
  label: string;
  total?: number;
  unit: string;
}): Progress {
  const { stderr } = process;
  const interval = stderr.isTTY ? intervals.terminal : intervals.log;
  const format = unit === 'byte' ? formatBytes : formatCount;
  const suffix = unit === 'byte' ? '' : ` ${unit}s`;
  const began = performance.now();
  let shown = began + 2000 - interval;
  let first: { at: number; done: number } | undefined;
  let drawn = false;
  return {
    update(done, extra = '') {
      const now = performance.now();
      // A run that goes on where it was stopped begins above zero: the rate counts from there.
      first ??= { at: now, done };
      if (now - shown < interval) return;
      shown = now;
      const rate = ((done - first.done) / (now - first.at)) * 1000;
      const parts = [
        `${label} ${format(done)}${total ? `/${format(total)}` : ''}${suffix}`,
        rate > 0 ? `${rate < 10 ? rate.toFixed(2) : format(rate)}/s` : '',
        total && rate > 0 ? `${formatDuration((total - done) / rate)} left` : '',
        extra,
      ];
      const line = parts.filter(Boolean).join(' · ');
      stderr.write(stderr.isTTY ? `\r\u001b[2K${line.slice(0, stderr.columns - 1)}` : `${line}\n`);
      drawn = true;
    },
    finish(summary) {
      if (drawn && stderr.isTTY) stderr.write('\r\u001b[2K');
      if (summary) stderr.write(`${summary}\n`);
    },
  };
}
