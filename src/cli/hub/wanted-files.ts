/** Which files of a published model are needed to run it. */
import { keepsWeightsOf } from '../../graph/rewrites/external-data.ts';

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
  const folders = draws
    ? [...new Set(graphs.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)))].filter(Boolean)
    : ['onnx/'];
  const names = [graphName(variant), ...(draws ? [graphName('')] : [])];
  const found = folders.flatMap((folder) => {
    const inFolder = names.flatMap((name) => graphs.find(({ path }) => path === folder + name) ?? []);
    return inFolder.slice(0, 1);
  });
  if (
    found.length === 0 ||
    (draws && variant && !found.some(({ path }) => path.endsWith(graphName(variant))))
  )
    throw new Error(missing(graphs, variant));
  const settings = files.filter(({ path }) => SETTINGS.test(path) && (draws || !path.includes('/')));
  const weights = files.filter(({ path }) => found.some((graph) => keepsWeightsOf(graph.path, path)));
  return [...settings, ...found, ...weights];
}

const graphName = (variant: string) => `model${variant && `_${variant}`}.onnx`;

function missing(graphs: readonly PublishedFile[], variant: string): string {
  const variants = new Set(
    graphs.flatMap(({ path }) => /(?:^|\/)model(?:_([\w-]+))?\.onnx$/.exec(path)?.slice(1) ?? []),
  );
  if (variants.size === 0) return 'The repository holds no ONNX graph in a form that wick runs.';
  const list = [...variants].map((name) => name ?? "'' (model.onnx)").sort();
  return `The repository has no ${graphName(variant)}. --variant takes: ${list.join(', ')}.`;
}
