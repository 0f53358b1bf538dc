/** Reverse-mode automatic differentiation: a graph's gradients as more nodes of the same graph. */
import type { Graph, Node, Value } from './graph.ts';
import { add } from './operators/elementwise.ts';
import { formatShape, sameShape } from './shape.ts';

/**
 * The gradients of a scalar with respect to other values.
 *
 * Nodes are walked from the last to the first; each passes the gradient of its results on to its inputs by the
 * rule that stands beside its operator, and where a value is used more than once its gradients add up.
 *
 * @param loss a float scalar of shape `[]`
 * @param parameters values the loss depends on
 * @returns one gradient for each parameter, of the parameter's shape
 * @throws Error naming the operator if one on the way has no gradient rule, or the parameter the loss does not depend on
 */
export function gradients(loss: Value, parameters: readonly Value[]): Value[] {
  if (loss.shape.length !== 0) {
    throw new Error(
      `Gradients are taken of a scalar, got "${loss.name}" of shape ${formatShape(loss.shape)}.`,
    );
  }
  const { graph } = loss;
  const nodes = [...graph.nodes];
  const active = dependents(graph, nodes, parameters);
  const flowing = new Map<Value, Value>([[loss, graph.scalar(1, loss.dtype)]]);
  const send = (to: Value | undefined, gradient: Value | undefined, by: Node) => {
    if (!to || !gradient || !active.has(to)) return;
    if (!sameShape(to.shape, gradient.shape)) {
      throw new Error(
        `The gradient rule of ${by.op.name} gave ${formatShape(gradient.shape)} for an input of ${formatShape(to.shape)}.`,
      );
    }
    const known = flowing.get(to);
    flowing.set(to, known ? add(known, gradient) : gradient);
  };
  for (const node of nodes.reverse()) {
    for (const step of rulesFor(graph, node)) {
      const arriving = step.outputs.map((output) => flowing.get(output));
      if (!arriving.some(Boolean) || !step.inputs.some((input) => input && active.has(input))) continue;
      if (!step.op.gradient) {
        throw new Error(
          `${step.op.name} has no gradient rule, and the loss depends on a parameter through it ("${step.name}").`,
        );
      }
      const { inputs, outputs } = step;
      const results = step.op.gradient({
        node: step,
        inputs,
        outputs,
        gradients: arriving,
      });
      for (const [i, result] of results.entries()) send(inputs[i], result, step);
    }
  }
  return parameters.map((parameter) => {
    const gradient = flowing.get(parameter);
    if (!gradient) throw new Error(`The loss does not depend on "${parameter.name}".`);
    return gradient;
  });
}

/** The node itself, or the composites that speak for its results. */
function rulesFor(graph: Graph, node: Node): Node[] {
  const composites = node.outputs.flatMap((output) => graph.composites.get(output) ?? []);
  return composites.length > 0 ? composites : [node];
}

/** All values that a change of a parameter changes. */
function dependents(graph: Graph, nodes: readonly Node[], parameters: readonly Value[]): Set<Value> {
  for (const parameter of parameters) {
    if (parameter.graph !== graph) throw new Error(`"${parameter.name}" is a value of another graph.`);
  }
  const active = new Set(parameters);
  for (const node of nodes) {
    if (node.inputs.some((input) => input && active.has(input))) {
      for (const output of node.outputs) active.add(output);
    }
  }
  return active;
}
