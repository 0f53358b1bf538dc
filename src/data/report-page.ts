/** The report of prepared data as a page of its own: figures, plots, and what was dropped, with examples. */
import * as echarts from 'echarts';
import type { Report } from './report.ts';

const format = new Intl.NumberFormat('en');
const number = (value: number) => format.format(value);
const escape = (text: string) =>
  text.replace(/[&<>"']/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[sign]!);

/** An HTML page that needs nothing from elsewhere. */
export function reportPage(report: Report): string {
  const { documents, splits, tokenizer } = report;
  const figures: [string, string][] = [
    ['documents read', number(documents.read)],
    ['kept', `${number(documents.kept)} (${percent(documents.kept, documents.read)})`],
    ['held out', number(documents.validation)],
    ['words', number(report.words)],
    ...(splits
      ? ([
          ['training tokens', number(splits.train.tokens)],
          ['validation tokens', number(splits.validation.tokens)],
        ] as [string, string][])
      : []),
    ...(tokenizer
      ? ([
          ['vocabulary', number(tokenizer.vocabulary)],
          ['bytes a token', tokenizer.bytes_per_token.toFixed(2)],
        ] as [string, string][])
      : []),
  ];
  const reasons = report.dropped.slice(0, 12);
  const sections = [
    `<dl>${figures.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`,
    section('Where documents came from', bars(report.sources.slice(0, 30).map(({ source, read, kept }) => [source, kept, read - kept]), ['kept', 'dropped'])),
    reasons.length > 0 ? section('Why documents were dropped', bars(reasons.map(({ reason, count }) => [reason, count]), ['dropped'])) : '',
    section('How long the kept ones are, in words', bars(report.lengths.map(({ upTo, count }) => [upTo < 0 ? 'more' : `up to ${number(upTo)}`, count]), ['documents'])),
    section('What was repaired', table(Object.entries(report.repairs), ['repair', 'documents changed'])),
    section('Personal data replaced', table(Object.entries(report.personal), ['kind', 'times'])),
    section(
      `What was wrong with the input (${number(report.problem_count)})`,
      table(report.problems.slice(0, 100).map(({ source, kind, detail, count = 1 }) => [source, kind, detail, count]), ['where', 'what', 'detail', 'times']),
    ),
    section(
      'Examples of what was dropped',
      report.dropped
        .map(
          ({ reason, count, examples }) =>
            `<details><summary>${escape(reason)} <span>${number(count)}</span></summary>${examples
              .map(({ source, text }) => `<figure><figcaption>${escape(source)}</figcaption><pre>${escape(text)}</pre></figure>`)
              .join('')}</details>`,
        )
        .join(''),
    ),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Prepared data</title><style>${style}</style></head>
<body><main><h1>Prepared data</h1>${sections.join('\n')}</main></body></html>
`;
}

const percent = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;

function section(title: string, body: string): string {
  return `<section><h2>${escape(title)}</h2>${body || '<p>Nothing.</p>'}</section>`;
}

function table(rows: (string | number)[][], head: string[]): string {
  if (rows.length === 0) return '';
  const cell = (value: string | number) => (typeof value === 'number' ? `<td class="n">${number(value)}</td>` : `<td>${escape(value)}</td>`);
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('');
  return `<table><thead><tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr></thead><tbody>${body}</tbody></table>`;
}

/** Horizontal bars; the first column of a row is its label, each further one a part of its bar. */
function bars(rows: (string | number)[][], names: string[]): string {
  if (rows.length === 0) return '';
  const colors = ['#3b6fd4', '#e8a33d'];
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 60 + 26 * rows.length });
  const ink = { color: '#808591' };
  chart.setOption({
    animation: false,
    grid: { left: 180, right: 70, top: names.length > 1 ? 30 : 8, bottom: 24 },
    legend: names.length > 1 ? { top: 0, textStyle: ink } : undefined,
    xAxis: { type: 'value', axisLabel: ink, splitLine: { lineStyle: { color: '#80859133' } } },
    yAxis: { type: 'category', inverse: true, data: rows.map(([label]) => String(label)), axisLabel: { ...ink, width: 165, overflow: 'truncate' } },
    series: names.map((name, i) => ({
      name,
      type: 'bar' as const,
      stack: 'all',
      data: rows.map((row) => row[i + 1] as number),
      itemStyle: { color: colors[names[0] === 'dropped' ? 1 : i] },
      label: i === names.length - 1 && names.length === 1 ? { show: true, position: 'right' as const, ...ink } : undefined,
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `<div class="plot" role="img" aria-label="${escape(rows.map((row) => row.join(' ')).join('; '))}">${svg}</div>`;
}

const style = `
:root { color-scheme: light dark; --line: #80859140; --soft: #80859118; --dim: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --dim: #a0a6b2; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 800px; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.8rem; margin: 0 0 1rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: .6rem; margin: 0; }
dl div { background: var(--soft); border-radius: 8px; padding: .6rem .8rem; }
dt { color: var(--dim); font-size: .85rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.plot { overflow-x: auto; } .plot svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; } summary span { color: var(--dim); }
figure { margin: .6rem 0; } figcaption { color: var(--dim); font-size: .8rem; }
pre { white-space: pre-wrap; background: var(--soft); padding: .6rem; border-radius: 6px; margin: .2rem 0; font-size: .85rem; }
`;
