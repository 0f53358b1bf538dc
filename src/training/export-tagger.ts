/** The files of a tagger, its scores calibrated on the texts that were held out to validate. */

import { countNumbers } from '../architecture/parameters.ts';
import { taggerInference, taggerParameters } from '../architecture/tagger.ts';
import { openLabelDataset } from '../data/labels/label-dataset.ts';
import type { TaggedText } from '../data/tags/tagged-text.ts';
import { type Calibration, createTagger, logit, typesOf } from '../filtering/tag.ts';
import { wordsOfText } from '../filtering/tag-features.ts';
import { createSpanReader } from '../filtering/tag-spans.ts';
import { toOnnx } from '../graph/onnx.ts';
import { plattScaling, type Weighed } from './calibration.ts';
import type { TaggingTrainingConfig } from './config.ts';
import { jsonLines, type ModelFiles } from './model-files.ts';
import { createSession, Tensor } from './runtime.ts';

/** config.json, calibration.json and onnx/model.onnx. */
export async function taggerFiles(
  { model, data }: TaggingTrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): Promise<ModelFiles> {
  const graph = toOnnx(taggerInference(model, weights), { producer: 'wick', steps });
  const session = await createSession(graph);
  const types = typesOf(model);
  const asTheyAre = Object.fromEntries(types.map((type) => [type, { scale: 1, offset: 0 }]));
  const tagger = createTagger({ config: model, calibration: asTheyAre, session, Tensor });
  const judged = new Map<string, Weighed[]>(types.map((type) => [type, []]));
  for (const { text, spans, unknown = [], weight } of openLabelDataset(data).split<TaggedText>(
    'validation',
  )) {
    const words = wordsOfText(text);
    const scores = await tagger.tag(words.map(tagger.featuresOf), 0, words.length);
    const reader = createSpanReader(types);
    const said = words.map((_, i) => reader.next(scores, i * (1 + 2 * types.length)));
    for (const span of [...said, reader.end()]) {
      if (!span) continue;
      const [start, end] = [words[span.first].from, words[span.end - 1].to];
      if (unknown.some((part) => part.start < end && start < part.end)) continue;
      // A span is right whose greater part is: where a name ends is not always plain.
      const positive = spans.some(
        (each) =>
          each.type === span.type &&
          2 * (Math.min(end, each.end) - Math.max(start, each.start)) >
            Math.max(end, each.end) - Math.min(start, each.start),
      );
      judged.get(span.type)!.push({ score: logit(span.probability), positive, weight });
    }
  }
  await session.release();
  const calibration: Calibration = Object.fromEntries(
    types.map((type) => [type, plattScaling(judged.get(type)!)]),
  );
  return {
    parameters: countNumbers(taggerParameters(model)),
    write: {
      'config.json': jsonLines(model),
      'calibration.json': jsonLines(calibration),
      'onnx/model.onnx': graph,
    },
    copy: {},
  };
}
