/** The report of prepared data as a page of its own: figures, plots, and what was dropped, with examples. */
import { createHash } from 'node:crypto';
import * as echarts from 'echarts';
import type { Report } from './report.ts';

const format = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const number = (value: number) => format.format(value);
const percent = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (sign) => entities[sign]);

const blue = '#4a7fd6';
const orange = '#e0913a';
/** A grey that can be read on white and on black: the plots are drawn once for both. */
const ink = '#80868f';

/** An HTML page that needs nothing from elsewhere. */
export function reportPage(report: Report): string {
  const { documents, options } = report;
  const sections = [
    figures(report),
    section(
      'From what was read to what is kept',
      bars(
        report.funnel.map(({ stage, documents: left }) => [
          `${stage}: ${number(left)}`,
          left,
          documents.read - left,
        ]),
        ['left', 'dropped'],
      ),
    ),
    section(
      'Why documents were dropped',
      bars(
        report.dropped.slice(0, 20).map(({ reason, count }) => [reason, count]),
        ['dropped'],
        orange,
      ),
    ),
    section(
      'Where they came from',
      bars(
        report.sources.slice(0, 30).map(({ source, read, kept }) => [source, kept, read - kept]),
        ['kept', 'dropped'],
      ) + more(report.sources.length - 30, 'folders'),
    ),
    section(
      'What the kept ones are like',
      `<div class="grid">${report.histograms.map(({ name, bins }) => histogram(name, bins)).join('')}</div>`,
    ),
    section('What was repaired', table(rows(report.repairs), ['repair', 'documents changed'])),
    section('Personal data replaced', table(rows(report.personal), ['kind', 'times'])),
    section(
      `What was wrong with the input: ${number(report.problem_count)}`,
      table(
        report.problems
          .slice(0, 200)
          .map(({ source, kind, detail, count = 1 }) => [source, kind, detail, count]),
        ['where', 'what', 'detail', 'times'],
      ) + more(report.problems.length - 200, 'lines, in report.json'),
    ),
    section('Examples of what was dropped', examples(report)),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Prepared data</title><style>${style}</style></head>
<body><main><h1>Prepared data</h1>
<p class="dim">Language ${escapeHtml(options.language)}, ${escapeHtml(options.kind)}, seed ${options.seed}, ${percent(options.validation, 1)} wanted for validation.</p>
${sections.join('\n')}</main></body></html>
`;
}

function figures({ documents, words, splits, tokenizer }: Report): string {
  const all: [string, string][] = [
    ['documents read', number(documents.read)],
    ['kept', `${number(documents.kept)} <small>${percent(documents.kept, documents.read)}</small>`],
    ['held out', number(documents.validation)],
    ['words', number(words)],
  ];
  if (splits) {
    all.push(
      ['training tokens', number(splits.train.tokens)],
      ['validation tokens', number(splits.validation.tokens)],
    );
  }
  if (tokenizer) {
    all.push(
      ['vocabulary', number(tokenizer.vocabulary)],
      ['bytes a token', tokenizer.bytes_per_token.toFixed(2)],
    );
  }
  return `<dl>${all.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`;
}

function examples({ dropped }: Report): string {
  const figure = ({ source, text }: { source: string; text: string }) =>
    `<figure><figcaption>${escapeHtml(source)}</figcaption><pre>${escapeHtml(text)}</pre></figure>`;
  return dropped
    .map(
      ({ reason, count, examples: shown }) =>
        `<details><summary>${escapeHtml(reason)} <span class="dim">${number(count)}</span></summary>${shown.map(figure).join('')}</details>`,
    )
    .join('');
}

const section = (title: string, body: string) =>
  `<section><h2>${escapeHtml(title)}</h2>${body || '<p class="dim">Nothing.</p>'}</section>`;
const rows = (counts: Record<string, number>) => Object.entries(counts).sort((a, b) => b[1] - a[1]);
const more = (count: number, what: string) =>
  count > 0 ? `<p class="dim">and ${number(count)} more ${what}</p>` : '';

function table(body: (string | number)[][], head: string[]): string {
  if (body.length === 0) return '';
  const cell = (value: string | number) =>
    typeof value === 'number' ? `<td class="n">${number(value)}</td>` : `<td>${escapeHtml(value)}</td>`;
  const lines = body.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('');
  return `<div class="scroll"><table><thead><tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr></thead><tbody>${lines}</tbody></table></div>`;
}

/** Horizontal bars: the first column of a row is its label, each further one a part of its bar. */
function bars(data: (string | number)[][], names: string[], color = blue): string {
  if (data.length === 0) return '';
  const legend = names.length > 1;
  return plot(760, 56 + 26 * data.length, data.map((row) => row.join(' ')).join('; '), {
    grid: { left: 225, right: 70, top: legend ? 30 : 4, bottom: 24 },
    legend: legend
      ? { top: 0, left: 190, textStyle: { color: ink }, itemWidth: 12, itemHeight: 12 }
      : undefined,
    xAxis: {
      type: 'value',
      splitNumber: 4,
      axisLabel: { color: ink },
      splitLine: { lineStyle: { color: `${ink}33` } },
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: data.map(([label]) => String(label)),
      axisLabel: { color: ink, width: 210, overflow: 'truncate' },
      axisLine: { lineStyle: { color: `${ink}66` } },
      axisTick: { show: false },
    },
    series: names.map((name, i) => ({
      name,
      type: 'bar' as const,
      stack: 'all',
      barMaxWidth: 18,
      data: data.map((row) => row[i + 1] as number),
      itemStyle: { color: i === 0 ? color : orange },
      label: i === 0 && !legend ? { show: true, position: 'right' as const, color: ink } : undefined,
    })),
  });
}

/** Upright bars, one for each span of values. */
function histogram(name: string, bins: { upTo: number; count: number }[]): string {
  const labels = bins.map(({ upTo }, i) =>
    upTo < 0 ? `over ${number(bins[i - 1]?.upTo ?? 0)}` : number(upTo),
  );
  const described = `${name}: ${bins.map(({ count }, i) => `up to ${labels[i]} ${count}`).join('; ')}`;
  const svg = plot(370, 200, described, {
    grid: { left: 52, right: 8, top: 12, bottom: 44 },
    xAxis: {
      type: 'category',
      data: labels,
      axisLabel: { color: ink, fontSize: 10, rotate: 45, interval: 0 },
      axisLine: { lineStyle: { color: `${ink}66` } },
      axisTick: { show: false },
    },
    yAxis: {
      type: 'value',
      splitNumber: 3,
      axisLabel: { color: ink, fontSize: 10 },
      splitLine: { lineStyle: { color: `${ink}33` } },
    },
    series: [
      {
        type: 'bar' as const,
        data: bins.map(({ count }) => count),
        itemStyle: { color: blue },
        barCategoryGap: '12%',
      },
    ],
  });
  return `<figure><figcaption>${escapeHtml(name)}, up to</figcaption>${svg}</figure>`;
}

function plot(width: number, height: number, described: string, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({ animation: false, textStyle: { fontFamily: 'system-ui, sans-serif' }, ...option });
  const svg = renumbered(
    chart.renderToSVGString(),
    createHash('sha256').update(described).digest('hex').slice(0, 12),
  );
  chart.dispose();
  return `<div class="plot" role="img" aria-label="${escapeHtml(described)}">${svg}</div>`;
}

/** Names in a picture are numbered through the process; the same report is to be the same page. */
function renumbered(svg: string, prefix: string): string {
  const names = new Map<string, string>();
  return svg.replace(/\bzr\d+-[\w-]+/g, (name) => {
    if (!names.has(name)) names.set(name, `plot-${prefix}-${names.size}`);
    return names.get(name)!;
  });
}

const style = `
:root { color-scheme: light dark; --line: #80868f40; --soft: #80868f18; --dim: #656c76; }
@media (prefers-color-scheme: dark) { :root { --dim: #a0a6b2; } body { background: #15171b; color: #e6e8eb; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 800px; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.8rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
.dim, figcaption, dt { color: var(--dim); } figcaption, dt, small { font-size: .85rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .6rem; margin: 1.2rem 0 0; }
dl div { background: var(--soft); border-radius: 8px; padding: .6rem .8rem; }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; } dd small { color: var(--dim); }
.plot svg { display: block; width: 100%; height: auto; } .scroll { overflow-x: auto; }
.plot svg > rect:first-of-type { fill: none; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 1.2rem; }
.grid figure { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } th:last-child { text-align: right; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; }
figure { margin: .6rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .6rem; border-radius: 6px; margin: .2rem 0; font-size: .85rem; }
`;
