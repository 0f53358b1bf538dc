/**
 * How fast texts are filtered: prose, and prose full of personal data, beside the same patterns run one after another
 * over the same text; what a token costs in a stream; the same with the tagger of names and addresses, on one thread;
 * what filtering adds to a Worker's size (zod, which it has, apart), and to its answers, as `edge-filter` tells alone.
 */

import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { faker } from '@faker-js/faker';
import { rolldown } from 'rolldown';
import { detectors } from '../../src/filtering/detectors.ts';
import { createFilterStream, type FilterStream, filterText } from '../../src/filtering/filter-stream.ts';
import { defaultPolicy } from '../../src/filtering/load-policy.ts';
import {
  createTaggedStream,
  filterTaggedText,
  type TaggedStream,
} from '../../src/filtering/tagged-stream.ts';
import { loadTaggerFolder } from '../../src/service/tagger-folder.ts';
import type { BenchResult } from '../bench.ts';
import { run as runInWorker } from './edge-filter.ts';

const folder = fileURLToPath(new URL('../../models/wick-tagger', import.meta.url));
const sentence =
  'She had walked for 3 hours through the old town when, at last, the rain stopped and the light came back. ';
/** No two alike, as a text is searched once for a number that it holds twice. */
const personal = () =>
  `Write to ${faker.internet.email()} or call ${faker.phone.number({ style: 'international' })}; pay ${faker.finance.iban()} with card ${faker.finance.creditCardNumber('visa')} from ${faker.internet.ipv4()}. `;
const PROSE = 1_000_000;
const DENSE = 100_000;

export async function run(): Promise<BenchResult> {
  const policy = defaultPolicy();
  const prose = sentence.repeat(PROSE / sentence.length);
  faker.seed(1);
  let dense = '';
  while (dense.length < DENSE) dense += personal();
  const rows: BenchResult['rows'] = [];
  const best = (what: string, length: number, work: () => void): number => {
    const times = Array.from({ length: 4 }, () => {
      const began = performance.now();
      work();
      return performance.now() - began;
    });
    const speed = Number((length / 1000 / Math.min(...times)).toFixed(2));
    rows.push({ what, 'MB/s': speed });
    return speed;
  };
  const proseSpeed = best('prose', prose.length, () => filterText(prose, policy, 'input'));
  const denseSpeed = best('personal data', dense.length, () => filterText(dense, policy, 'input'));
  const patternSpeed = best('patterns alone, prose', prose.length, () => {
    for (const { pattern } of detectors) prose.replace(pattern, '');
  });

  const tagger = await loadTaggerFolder(folder, { threads: 1 });
  const began = performance.now();
  await filterTaggedText(dense, policy, 'input', tagger);
  const taggedSpeed = Number((dense.length / 1000 / (performance.now() - began)).toFixed(2));
  rows.push({ what: 'personal data, with names', 'MB/s': taggedSpeed });

  const plain = await tokenTimes(createFilterStream(policy, 'output'));
  const tagged = await tokenTimes(createTaggedStream(policy, 'output', tagger));
  const kilobytes = await gzipped();
  rows.push({ what: `a token of a stream: ${plain.p50} µs, one in a hundred ${plain.p99} µs` });
  rows.push({ what: `with names: ${tagged.p50} µs, one in a hundred ${tagged.p99} µs` });
  rows.push({ what: `in a Worker: ${kilobytes} kB gzip` });
  const { summary: worker } = await runInWorker({ args: [] });
  rows.push({ what: 'prose, in a Worker that judges it, too', 'MB/s': Number(worker.workerd_mb_per_s) });
  const { first_token_added_p50_ms: p50, first_token_added_p99_ms: p99 } = worker;
  rows.push({ what: `added there to the first token: ${p50} ms, one in a hundred ${p99} ms` });
  return {
    rows,
    summary: {
      prose_mb_per_s: proseSpeed,
      personal_mb_per_s: denseSpeed,
      times_patterns_alone: Number((proseSpeed / patternSpeed).toFixed(2)),
      tagged_mb_per_s: taggedSpeed,
      token_us_p50: plain.p50,
      token_us_p99: plain.p99,
      tagged_token_us_p50: tagged.p50,
      tagged_token_us_p99: tagged.p99,
      worker_gzip_kb: kilobytes,
      ...worker,
    },
  };
}

/** Microseconds that tokens of a stream take. */
async function tokenTimes(stream: FilterStream | TaggedStream): Promise<Record<'p50' | 'p99', number>> {
  const microseconds: number[] = [];
  for (const token of sentence.repeat(100).match(/.{1,4}/g)!) {
    const began = performance.now();
    await stream.push(token);
    microseconds.push((performance.now() - began) * 1000);
  }
  microseconds.sort((a, b) => a - b);
  const at = (share: number) => Number(microseconds[Math.floor(microseconds.length * share)].toFixed(1));
  return { p50: at(0.5), p99: at(0.99) };
}

/** The code as it would be in a Worker. */
async function gzipped(): Promise<number> {
  const folder = new URL('../../src/filtering/', import.meta.url).pathname;
  const bundle = await rolldown({
    input: { filter: `${folder}filter-stream.ts`, policy: `${folder}load-policy.ts` },
    external: ['zod'],
    platform: 'browser',
    logLevel: 'silent',
  });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  const bytes = output.reduce(
    (sum, part) => sum + (part.type === 'chunk' ? gzipSync(part.code).length : 0),
    0,
  );
  return Number((bytes / 1000).toFixed(1));
}
