/** Which files of a published model are needed to run it. */
import { keepsWeightsOf } from '../../graph/rewrites/external-data.ts';
import { chooseTextGraph } from '../../service/model-files.ts';

export interface PublishedFile {
  path: string;
  size: number;
}

/** Settings, vocabularies and templates: all that is not weights. */
const SETTINGS = /\.(json|txt|jinja)$/;

/**
 * The files of a text model (configuration, tokenizer, one graph with the weights beside it), or of a diffusers folder
 * (one graph in each of its parts).
 *
 * @param variant '' for `model.onnx`, 'q4' for `model_q4.onnx`; a part of a diffusers folder that lacks it gives its
 * `model.onnx`
 * @throws Error naming the variants that there are, where this one is not
 */
export function wantedFiles<File extends PublishedFile>(files: readonly File[], variant: string): File[] {
  const graphs = files.filter(({ path }) => path.endsWith('.onnx'));
  const draws = files.some(({ path }) => path === 'model_index.json');
  const found = draws ? partsWanted(graphs, variant) : textGraphWanted(graphs, variant);
  if (found.length === 0) throw new Error(missing(graphs, variant));
  const settings = files.filter(({ path }) => SETTINGS.test(path) && (draws || !path.includes('/')));
  const weights = files.filter(({ path }) => found.some((graph) => keepsWeightsOf(graph.path, path)));
  return [...settings, ...found, ...weights];
}

function textGraphWanted<File extends PublishedFile>(graphs: readonly File[], variant: string): File[] {
  const inFolder = graphs.filter(({ path }) => /^onnx\/[^/]+$/.test(path));
  const chosen = chooseTextGraph(
    inFolder.map(({ path }) => path.slice('onnx/'.length)),
    variant,
  );
  return inFolder.filter(({ path }) => path === `onnx/${chosen}`);
}

/** A graph of each part of a diffusers folder; none if the variant is of no part. */
function partsWanted<File extends PublishedFile>(graphs: readonly File[], variant: string): File[] {
  const parts = new Set(graphs.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)));
  const found = [...parts].filter(Boolean).flatMap((part) => {
    const names = [graphName(variant), graphName('')].map((name) => part + name);
    return names.flatMap((name) => graphs.find(({ path }) => path === name) ?? []).slice(0, 1);
  });
  return variant && !found.some(({ path }) => path.endsWith(graphName(variant))) ? [] : found;
}

const graphName = (variant: string) => `model${variant && `_${variant}`}.onnx`;

function missing(graphs: readonly PublishedFile[], variant: string): string {
  const variants = new Set(
    graphs.flatMap(
      ({ path }) => /(?:^|\/)(?:model|decoder_model_merged)(?:_([\w-]+))?\.onnx$/.exec(path)?.slice(1) ?? [],
    ),
  );
  if (variants.size === 0) return 'The repository holds no ONNX graph in a form that wick runs.';
  const list = [...variants].map((name) => name ?? "'' (model.onnx)").sort();
  return `The repository has no ${graphName(variant)}. --variant takes: ${list.join(', ')}.`;
}
