/** Figures in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */

export type Labels = Readonly<Record<string, string>>;

/** A value with its labels. */
export type Sample = [labels: Labels, value: number];

export interface Registry {
  /** A figure that only grows, until the process ends. Its name ends with `_total`. */
  counter(name: string, help: string): (labels: Labels, by?: number) => void;
  /** @param buckets upper bounds, ascending */
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
  ): (labels: Labels, value: number, times?: number) => void;
  /** A figure that is read when it is asked for. */
  read(type: 'gauge' | 'counter', name: string, help: string, samples: () => Iterable<Sample>): void;
  text(): string;
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function createRegistry(): Registry {
  const families: { head: string; lines: () => Iterable<string> }[] = [];
  const family = (type: string, name: string, help: string, lines: () => Iterable<string>) =>
    families.push({ head: `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, lines });

  return {
    counter(name, help) {
      const values = new Map<string, number>();
      family('counter', name, help, function* () {
        for (const [labels, value] of values) yield `${name}${labels} ${value}`;
      });
      return (labels, by = 1) => {
        const key = written(labels);
        values.set(key, (values.get(key) ?? 0) + by);
      };
    },
    histogram(name, help, buckets) {
      const all = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();
      family('histogram', name, help, function* () {
        for (const [key, { labels, counts, sum, count }] of all) {
          let below = 0;
          for (const [i, le] of buckets.entries()) {
            below += counts[i];
            yield `${name}_bucket${written({ ...labels, le: String(le) })} ${below}`;
          }
          yield `${name}_bucket${written({ ...labels, le: '+Inf' })} ${count}`;
          yield `${name}_sum${key} ${sum}`;
          yield `${name}_count${key} ${count}`;
        }
      });
      return (labels, value, times = 1) => {
        const key = written(labels);
        const own = all.get(key) ?? { labels, counts: buckets.map(() => 0), sum: 0, count: 0 };
        all.set(key, own);
        const bucket = buckets.findIndex((le) => value <= le);
        if (bucket >= 0) own.counts[bucket] += times;
        own.sum += value * times;
        own.count += times;
      };
    },
    read(type, name, help, samples) {
      family(type, name, help, function* () {
        for (const [labels, value] of samples()) yield `${name}${written(labels)} ${value}`;
      });
    },
    text: () =>
      families
        .map(({ head, lines }) => [head, ...[...lines()].map((line) => `${line}\n`)])
        .filter((lines) => lines.length > 1)
        .flat()
        .join(''),
  };
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

function written(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (character) => escapes[character])}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
