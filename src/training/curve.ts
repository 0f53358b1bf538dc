/** The loss of a run as a picture. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as echarts from 'echarts';
import sharp from 'sharp';
import type { StepMetrics } from './metrics.ts';

/** Draws `loss.svg` and `loss.png` into a run's folder: training loss, its smoothed line, and validation loss. */
export async function drawCurve(
  folder: string,
  metrics: readonly StepMetrics[],
  title: string,
): Promise<void> {
  if (metrics.length === 0) return;
  let smooth = metrics[0].loss;
  const smoothed = metrics.map(({ step, loss }) => {
    smooth += (loss - smooth) / Math.min(step, 50);
    return [step, smooth];
  });
  const validation = metrics.flatMap(({ step, validation_loss }) =>
    validation_loss === undefined ? [] : [[step, validation_loss]],
  );
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: 900,
    height: 480,
  });
  const line = (name: string, data: number[][], color: string, width: number, opacity = 1) => ({
    name,
    type: 'line' as const,
    data,
    showSymbol: name === 'validation',
    lineStyle: { width, color, opacity },
    itemStyle: { color },
  });
  // The first steps fall from far above: cutting them off lets the rest be read.
  const rest = smoothed.slice(Math.min(smoothed.length - 1, Math.floor(smoothed.length / 50)));
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 'center' },
    legend: { bottom: 0 },
    grid: { left: 60, right: 30, top: 50, bottom: 70 },
    xAxis: {
      type: 'value',
      name: 'step',
      nameLocation: 'middle',
      nameGap: 28,
      max: metrics.at(-1)!.step,
    },
    yAxis: {
      type: 'value',
      scale: true,
      max: roundUp(Math.max(...rest.map(([, loss]) => loss))),
    },
    series: [
      line(
        'training',
        metrics.map(({ step, loss }) => [step, loss]),
        '#9db8e8',
        1,
        0.6,
      ),
      line('training, smoothed', smoothed, '#2456b8', 2),
      line('validation', validation, '#d9480f', 2),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  writeFileSync(join(folder, 'loss.svg'), svg);
  await sharp(Buffer.from(svg)).png().toFile(join(folder, 'loss.png'));
}

/** The next number of two digits: 0.123 becomes 0.13. */
function roundUp(value: number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((Math.ceil(value / unit) * unit).toPrecision(2));
}
