import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { adamW, clipByGlobalNorm, muon } from '../../src/graph/optimizers.ts';
import { input, prepareGraph } from '../fixtures/run-graph.ts';

const random = createRandom(9);
const normal = (count: number) =>
  Float32Array.from({ length: count }, () => random() + random() + random() - 1.5);

describe('AdamW', () => {
  it('takes the steps of its paper', async () => {
    const options = {
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
    };
    const graph = new Graph();
    const names = ['parameter', 'gradient', 'first_moment', 'second_moment'];
    const [parameter, gradient, first_moment, second_moment] = names.map((name) => input(graph, name, [3]));
    const [learningRate, step] = ['rate', 'step'].map((name) => input(graph, name, []));
    const next = adamW(options).update({
      parameter,
      gradient,
      states: { first_moment, second_moment },
      learningRate,
      step,
    });
    graph.output('next', next.parameter);
    for (const [name, value] of Object.entries(next.states)) graph.output(`next_${name}`, value);
    const run = await prepareGraph(graph);

    let ours = {
      parameter: normal(3),
      first_moment: new Float32Array(3),
      second_moment: new Float32Array(3),
    };
    const theirs = [...ours.parameter].map((p) => ({ p, m: 0, v: 0 }));
    for (let t = 1; t <= 6; t++) {
      const g = normal(3);
      const rate = 0.01 * t;
      const feeds = Object.fromEntries(
        Object.entries({ ...ours, gradient: g }).map(([name, data]) => [name, { data, shape: [3] }]),
      );
      const result = await run({
        ...feeds,
        rate: { data: Float32Array.of(rate), shape: [] },
        step: { data: Float32Array.of(t), shape: [] },
      });
      ours = {
        parameter: result.next.data as unknown as typeof ours.parameter,
        first_moment: result.next_first_moment.data as unknown as typeof ours.parameter,
        second_moment: result.next_second_moment.data as unknown as typeof ours.parameter,
      };
      for (const [i, each] of theirs.entries()) {
        each.m = 0.9 * each.m + 0.1 * g[i];
        each.v = 0.95 * each.v + 0.05 * g[i] ** 2;
        each.p -=
          rate * (each.m / (1 - 0.9 ** t) / (Math.sqrt(each.v / (1 - 0.95 ** t)) + 1e-8) + 0.1 * each.p);
        expect(ours.parameter[i]).toBeCloseTo(each.p, 4);
      }
    }
  });
});

describe('Muon', () => {
  it.each([
    [12, 20],
    [20, 12],
    [16, 16],
  ])('moves a %i x %i matrix by one that is nearly orthogonal', async (rows, columns) => {
    const graph = new Graph();
    const [parameter, gradient, momentum] = ['p', 'g', 'm'].map((name) =>
      input(graph, name, [rows, columns]),
    );
    const { parameter: next } = muon().update({
      parameter,
      gradient,
      states: { momentum },
      learningRate: graph.scalar(1),
      step: graph.scalar(1),
    });
    graph.output('next', next);
    const zeros = {
      data: new Float32Array(rows * columns),
      shape: [rows, columns],
    };
    const run = await prepareGraph(graph);
    const { data } = (
      await run({
        p: zeros,
        m: zeros,
        g: { data: normal(rows * columns), shape: [rows, columns] },
      })
    ).next;
    const scale = Math.sqrt(Math.max(1, columns / rows));
    const at = (row: number, column: number) => -Number(data[row * columns + column]) / scale;
    const small = Math.min(rows, columns);
    // Rows (or columns) of length about 1 and at nearly right angles: the Gram matrix is close to the identity.
    let energy = 0;
    for (let i = 0; i < small; i++) {
      for (let j = 0; j < small; j++) {
        let dot = 0;
        for (let k = 0; k < Math.max(rows, columns); k++)
          dot += rows <= columns ? at(i, k) * at(j, k) : at(k, i) * at(k, j);
        expect(Math.abs(dot - (i === j ? 1 : 0)), `${i}, ${j}`).toBeLessThan(0.6);
        if (i === j) energy += dot;
      }
    }
    expect(energy / small).toBeGreaterThan(0.6);
    expect(energy / small).toBeLessThan(1.3);
  });
});

describe('clipping', () => {
  it('scales all gradients together, and only those that are too long', async () => {
    const graph = new Graph();
    const [a, b] = [input(graph, 'a', [2]), input(graph, 'b', [1])];
    const { gradients, norm } = clipByGlobalNorm([a, b], 1);
    graph.output('norm', norm);
    for (const [i, gradient] of gradients.entries()) graph.output(`g${i}`, gradient);
    const run = await prepareGraph(graph);
    const of = async (x: number, y: number, z: number) => {
      const { norm, g0, g1 } = await run({
        a: { data: Float32Array.of(x, y), shape: [2] },
        b: { data: Float32Array.of(z), shape: [1] },
      });
      return [norm.data[0], g0.data[0], g0.data[1], g1.data[0]].map(Number);
    };
    const long = await of(2, 3, 6);
    expect(long[0]).toBeCloseTo(7);
    expect(Math.hypot(long[1], long[2], long[3])).toBeCloseTo(1, 4);
    expect(long[3] / long[1]).toBeCloseTo(3, 4);
    expect((await of(0.1, 0.2, 0.2)).slice(1).map((x) => Math.round(x * 1e4) / 1e4)).toEqual([0.1, 0.2, 0.2]);
  });
});
