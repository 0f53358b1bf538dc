import { describe, expect, it } from 'vitest';
import { parseDiffusionConfig, predictionTypes } from '../../src/architecture/diffusion-config.ts';
import {
  diffusionLoss,
  diffusionParameters,
  prefixes,
  sharesAt,
} from '../../src/architecture/diffusion-loss.ts';
import { transformerInference } from '../../src/architecture/diffusion-transformer.ts';
import { textEncoderInference } from '../../src/architecture/text-encoder.ts';
import { createRandom, normal } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { expectGradients } from '../fixtures/gradients.ts';
import { type Feed, runGraph, sizeOf } from '../fixtures/run-graph.ts';
import { tinyDiffusion } from '../fixtures/tiny-images.ts';

const batch = 3;

function feedsOf(config: ReturnType<typeof parseDiffusionConfig>, seed: number): Record<string, Feed> {
  const random = createRandom(seed);
  const draw = (shape: number[], scale = 1): Feed => ({
    data: Float32Array.from({ length: sizeOf(shape) }, () => scale * normal(random)),
    shape,
  });
  const { in_channels, sample_size, prediction_type } = config.transformer;
  const { max_position_embeddings: text, vocab_size } = config.text_encoder;
  const image = [batch, in_channels, sample_size, sample_size];
  // Not too near to zero noise: there a loss of large numbers leaves float32 no digits for differences.
  const timesteps = [200, 500, 970];
  const shares = timesteps.map((timestep) => sharesAt(prediction_type, timestep));
  const perImage = (values: number[]): Feed => ({ data: Float32Array.from(values), shape: [batch] });
  return {
    image: draw(image, 0.5),
    noise: draw(image),
    timestep: perImage(timesteps),
    image_share: perImage(shares.map(({ image }) => image)),
    noise_share: perImage(shares.map(({ noise }) => noise)),
    input_ids: {
      // Pads at the end, as captions have them.
      data: BigInt64Array.from({ length: batch * text }, (_, i) =>
        i % text > 3 ? 0n : BigInt(1 + Math.floor(random() * (vocab_size - 1))),
      ),
      shape: [batch, text],
    },
    ...Object.fromEntries(
      // Also what begins as zeros: otherwise nothing flows through it.
      diffusionParameters(config).map(({ name, shape }) => [name, draw(shape, 0.3)]),
    ),
  };
}

const kinds = [
  ...predictionTypes.map((prediction_type) => ({ prediction_type, parameterization: 'direct' })),
  { prediction_type: 'flow_prediction', parameterization: 'sample' },
];

describe.each(kinds)('diffusion of $prediction_type, $parameterization', (kind) => {
  const config = parseDiffusionConfig(tinyDiffusion(kind));

  it('has the gradients that finite differences give', async () => {
    const rounding = (loss: number) => 0.5 + 0.1 * loss;
    await expectGradients((graph) => diffusionLoss(graph, config, batch), feedsOf(config, 1), rounding);
  });

  it('predicts alike in training and in inference', async () => {
    const feeds = feedsOf(config, 3);
    const graph = new Graph();
    const { losses } = diffusionLoss(graph, config, batch);
    graph.output('losses', losses);
    const trained = (await runGraph(graph, feeds)).losses.data;

    const weights = new Map(Object.entries(feeds).map(([name, { data }]) => [name, data as Float32Array]));
    const encoded = await runGraph(textEncoderInference(config.text_encoder, weights, prefixes.textEncoder), {
      input_ids: feeds.input_ids,
    });
    const feed = (name: string): Feed => ({
      data: Float32Array.from(encoded[name].data, Number),
      shape: [...encoded[name].shape],
    });
    const [image, noise] = [feeds.image.data as Float32Array, feeds.noise.data as Float32Array];
    const length = image.length / batch;
    const share = (name: string, i: number) => Number(feeds[name].data[Math.floor(i / length)]);
    const noisy = image.map((x, i) => share('image_share', i) * x + share('noise_share', i) * noise[i]);
    const { out_hidden_states } = await runGraph(
      transformerInference(config.transformer, weights, prefixes.transformer),
      {
        hidden_states: { data: noisy, shape: feeds.image.shape },
        timestep: feeds.timestep,
        encoder_hidden_states: feed('last_hidden_state'),
        pooled_projections: feed('pooler_output'),
        encoder_attention_mask: {
          data: BigInt64Array.from(feeds.input_ids.data as BigInt64Array, (id) => (id === 0n ? 0n : 1n)),
          shape: feeds.input_ids.shape,
        },
      },
    );
    const target = (i: number) =>
      ({
        epsilon: noise[i],
        v_prediction: share('image_share', i) * noise[i] - share('noise_share', i) * image[i],
        flow_prediction: noise[i] - image[i],
      })[config.transformer.prediction_type];
    for (let row = 0; row < batch; row++) {
      let sum = 0;
      for (let i = row * length; i < (row + 1) * length; i++)
        sum += (Number(out_hidden_states.data[i]) - target(i)) ** 2;
      expect(sum / length / Number(trained[row])).toBeCloseTo(1, 4);
    }
  });
});

describe('captions', () => {
  it('are read the same whatever stands behind their end', async () => {
    const config = parseDiffusionConfig(tinyDiffusion({}));
    const feeds = feedsOf(config, 4);
    const weights = new Map(Object.entries(feeds).map(([name, { data }]) => [name, data as Float32Array]));
    const pads = `${prefixes.textEncoder}embed_tokens.weight`;
    const other = weights.get(pads)!.slice();
    other.fill(5, 0, config.text_encoder.hidden_size);
    const pooled = async (weights: Map<string, Float32Array>) => {
      const graph = textEncoderInference(config.text_encoder, weights, prefixes.textEncoder);
      return Array.from((await runGraph(graph, { input_ids: feeds.input_ids })).pooler_output.data);
    };
    expect(await pooled(new Map([...weights, [pads, other]]))).toEqual(await pooled(weights));
  });
});

describe('sharesAt', () => {
  it.each(predictionTypes)('goes from image to noise (%s)', (type) => {
    const all = [0, 100, 500, 900, 999].map((timestep) => sharesAt(type, timestep));
    expect(all[0].image).toBeGreaterThan(0.99);
    expect(all[4].noise).toBeGreaterThan(0.99);
    for (let i = 1; i < all.length; i++) expect(all[i].noise).toBeGreaterThan(all[i - 1].noise);
  });
});

describe('parseDiffusionConfig', () => {
  it.each([
    [{ patch_size: 3 }, /patch_size has to divide/],
    [{ num_attention_heads: 5 }, /num_attention_heads has to divide/],
    [{ cross_attention_dim: 7 }, /cross_attention_dim has to be/],
    [
      { prediction_type: 'epsilon', parameterization: 'sample' },
      /goes with prediction_type "flow_prediction"/,
    ],
    [{ hidden_size: 0 }, /transformer.hidden_size/],
    [{ colour: 'blue' }, /colour/],
  ])('refuses %o', (wrong, message) => {
    expect(() => parseDiffusionConfig(tinyDiffusion(wrong))).toThrow(message);
  });
});
