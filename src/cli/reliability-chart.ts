/** What was foretold beside what was, as a picture. */
import * as echarts from 'echarts';
import sharp from 'sharp';
import type { ReliabilityBin } from '../training/calibration.ts';

/** Of fewer texts a share says nothing. */
const ENOUGH = 20;

/** Draws a PNG: for each category of texts a line, which would lie on the diagonal if scores were probabilities. */
export async function drawReliability(
  path: string,
  categories: ReadonlyMap<string, readonly ReliabilityBin[]>,
): Promise<void> {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 800, height: 720 });
  const axis = (name: string, nameGap: number) => ({
    ...{ type: 'value' as const, min: 0, max: 1, name, nameLocation: 'middle' as const, nameGap },
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: 'Reliability', left: 'center' },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 50, bottom: 130 },
    xAxis: axis('score', 28),
    yAxis: axis('share of texts that have the label', 44),
    series: [
      {
        type: 'line',
        data: [
          [0, 0],
          [1, 1],
        ],
        showSymbol: false,
        lineStyle: { color: '#999999', type: 'dashed', width: 1 },
      },
      ...[...categories].map(([name, bins]) => ({
        ...{ name, type: 'line' as const, symbolSize: 6 },
        data: bins
          .filter(({ texts }) => texts >= ENOUGH)
          .map(({ foretold, observed }) => [foretold, observed]),
      })),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  await sharp(Buffer.from(svg)).png().toFile(path);
}
