import { describe, expect, it } from 'vitest';
import {
  autoencoderLoss,
  autoencoderParameters,
  decoderInference,
  encoderInference,
} from '../../src/architecture/autoencoder.ts';
import { parseAutoencoderConfig } from '../../src/architecture/diffusion-config.ts';
import { createRandom, normal } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { expectGradients } from '../fixtures/gradients.ts';
import { type Feed, runGraph, sizeOf } from '../fixtures/run-graph.ts';

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
    const rounding = (loss: number) => 0.5 + 0.1 * loss;
    await expectGradients((graph) => autoencoderLoss(graph, config, batch), feedsOf(1), rounding);
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
