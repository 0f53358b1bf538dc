/** The files of a classifier, its scores calibrated on the texts that were held out to validate. */
import { classifierInference, classifierParameters, labelsOf } from '../architecture/classifier.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { openLabelDataset } from '../data/labels/label-dataset.ts';
import { logitsOfEach, probability, type Thresholds } from '../filtering/classify.ts';
import { toOnnx } from '../graph/onnx.ts';
import { bestThreshold, plattScaling, type Weighed } from './calibration.ts';
import type { ClassificationTrainingConfig } from './config.ts';
import { jsonLines, type ModelFiles } from './model-files.ts';
import { createSession, Tensor } from './runtime.ts';

/** config.json, thresholds.json and onnx/model.onnx. */
export async function classifierFiles(
  { model, data, over_blocking, informative_labels }: ClassificationTrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): Promise<ModelFiles> {
  const graph = toOnnx(classifierInference(model, weights), { producer: 'wick', steps });
  const session = await createSession(graph);
  const labels = labelsOf(model);
  const judged: Weighed[][] = labels.map(() => []);
  const held = openLabelDataset(data).split('validation');
  const texts = held.map(({ text }) => text);
  let place = 0;
  for await (const logits of logitsOfEach(texts, model, { session, Tensor })) {
    const { labels: known, weight } = held[place++];
    for (const [i, label] of labels.entries()) {
      if (known[label] !== undefined)
        judged[i].push({ score: logits[i], positive: known[label] === 1, weight });
    }
  }
  await session.release();
  const thresholds: Thresholds = Object.fromEntries(
    labels.map((label, i) => {
      const line = plattScaling(judged[i]);
      const probable = judged[i].map((each) => ({ ...each, score: probability(each.score, line) }));
      const threshold = bestThreshold(probable, over_blocking);
      return [label, { ...line, threshold, flags: !informative_labels.includes(label) }];
    }),
  );
  return {
    parameters: countNumbers(classifierParameters(model)),
    write: {
      'config.json': jsonLines(model),
      'thresholds.json': jsonLines(thresholds),
      'onnx/model.onnx': graph,
    },
    copy: {},
  };
}
