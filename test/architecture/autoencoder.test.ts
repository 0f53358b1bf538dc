import { describe, expect, it } from 'vitest';
import {
  autoencoderLoss,
  autoencoderParameters,
  decoderInference,
  encoderInference,
} from '../../src/architecture/autoencoder.ts';
import { parseAutoencoderConfig } from '../../src/architecture/diffusion-config.ts';
import { createRandom, normal } from '../../src/data/random.ts';
import { gradients } from '../../src/graph/autodiff.ts';
import { Graph } from '../../src/graph/graph.ts';
import { type Feed, prepareGraph, runGraph, sizeOf } from '../fixtures/run-graph.ts';

const config = parseAutoencoderConfig({
  sample_size: 8,
  latent_channels: 2,
  block_out_channels: [4, 6],
  kl_weight: 0.1,
});
const batch = 2;

function feedsOf(seed: number): Record<string, Feed> {
  const random = createRandom(seed);
  const draw = (shape: number[], scale = 1): Feed => ({
    data: Float32Array.from({ length: sizeOf(shape) }, () => scale * normal(random)),
    shape,
  });
  return {
    image: draw([batch, 3, 8, 8], 0.5),
    noise: draw([batch, 2, 4, 4]),
    ...Object.fromEntries(autoencoderParameters(config).map(({ name, shape }) => [name, draw(shape, 0.3)])),
  };
}

describe('the autoencoder', () => {
  it('has the gradients that finite differences give', async () => {
    const graph = new Graph();
    const { loss, parameters } = autoencoderLoss(graph, config, batch);
    graph.output('loss', loss);
    for (const [i, gradient] of gradients(loss, parameters).entries()) {
      expect(gradient.shape).toEqual(parameters[i].shape);
      graph.output(`g${i}`, gradient);
    }
    const run = await prepareGraph(graph);
    const feeds = feedsOf(1);
    const at = await run(feeds);
    const random = createRandom(2);
    for (const [i, { name }] of parameters.entries()) {
      const { data, shape } = feeds[name] as { data: Float32Array; shape: number[] };
      const direction = Float32Array.from(data, () => normal(random));
      const step = 2e-3 / Math.sqrt(data.length);
      const moved = async (sign: number) => {
        const there = { data: data.map((x, j) => x + sign * step * direction[j]), shape };
        return Number((await run({ ...feeds, [name]: there })).loss.data[0]);
      };
      const difference = ((await moved(1)) - (await moved(-1))) / (2 * step);
      const slope = direction.reduce((sum, d, j) => sum + d * Number(at[`g${i}`].data[j]), 0);
      // float32 rounds the loss, and a difference of two losses all the more.
      const scale = Math.abs(difference) + Math.abs(slope) + 0.5 + 0.1 * Number(at.loss.data[0]);
      expect(Math.abs(difference - slope) / scale, name).toBeLessThan(0.03);
    }
  });

  it('gives back in inference what it does in training, and its loss is what is written', async () => {
    const feeds = feedsOf(3);
    const without = { ...feeds, noise: { data: new Float32Array(batch * 32), shape: [batch, 2, 4, 4] } };
    const graph = new Graph();
    const { loss, reconstruction } = autoencoderLoss(graph, config, batch);
    graph.output('loss', loss);
    graph.output('reconstruction', reconstruction);
    const trained = await runGraph(graph, without);

    const weights = new Map(Object.entries(feeds).map(([name, { data }]) => [name, data as Float32Array]));
    const { latent_parameters } = await runGraph(encoderInference(config, weights), { sample: feeds.image });
    expect(latent_parameters.shape).toEqual([batch, 4, 4, 4]);
    const both = Float32Array.from(latent_parameters.data, Number);
    const part = (first: number) =>
      Float32Array.from({ length: batch * 32 }, (_, i) => both[64 * Math.floor(i / 32) + first + (i % 32)]);
    const [means, logVariances] = [part(0), part(32)];
    const { sample } = await runGraph(decoderInference(config, weights), {
      latent_sample: { data: means, shape: [batch, 2, 4, 4] },
    });
    expect(sample.shape).toEqual([batch, 3, 8, 8]);
    const image = feeds.image.data as Float32Array;
    let [error, divergence] = [0, 0];
    for (const [i, pixel] of image.entries()) {
      expect(Number(sample.data[i])).toBeCloseTo(Number(trained.reconstruction.data[i]), 4);
      error += (Number(sample.data[i]) - pixel) ** 2 / image.length;
    }
    for (const [i, mean] of means.entries())
      divergence += (mean ** 2 + Math.exp(logVariances[i]) - logVariances[i] - 1) / 2 / means.length;
    expect(Number(trained.loss.data[0])).toBeCloseTo(error + 0.1 * divergence, 3);
  });

  it('refuses a size that cannot be halved', () => {
    expect(() =>
      parseAutoencoderConfig({ sample_size: 10, latent_channels: 2, block_out_channels: [4, 4, 4] }),
    ).toThrow(/sample_size \(10\) has to be halved 2 times/);
  });
});
