/**
 * Tensor shapes whose dimensions are numbers or symbols.
 *
 * A dimension is a non-negative integer, or a symbol such as `batch`. Products of both are kept in one
 * canonical spelling (`2*batch*seq`: the number first, then the symbols in alphabetical order), so that two
 * equal dimensions are equal strings.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** `[batch, seq, 64]`, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** The product of dimensions in canonical spelling; 1 for none. */
export function product(dims: Shape): Dim {
  let coefficient = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === 'number') coefficient *= dim;
    else {
      const [number, factors] = split(dim);
      coefficient *= number;
      symbols.push(...factors);
    }
  }
  return join(coefficient, symbols);
}

/** `a / b` if b divides a as far as the symbols tell, otherwise undefined. */
export function quotient(a: Dim, b: Dim): Dim | undefined {
  const [numberA, symbolsA] = split(a);
  const [numberB, symbolsB] = split(b);
  if (numberB === 0 || numberA % numberB !== 0) return undefined;
  const rest = [...symbolsA];
  for (const symbol of symbolsB) {
    const at = rest.indexOf(symbol);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  return join(numberA / numberB, rest);
}

/**
 * The shape of two tensors combined element by element, by NumPy's rules: shapes are aligned at the end, and
 * a dimension of 1 stretches. A symbol matches itself and 1 only.
 *
 * @throws Error naming both shapes where they do not fit.
 */
export function broadcast(a: Shape, b: Shape, who: string): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[a.length - rank + axis] ?? 1;
    const y = b[b.length - rank + axis] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new Error(
      `${who} cannot combine shapes ${formatShape(a)} and ${formatShape(b)}: dimension ${x} meets ${y}; they must be equal, or one of them 1.`,
    );
  });
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** An axis counted from either end, as one counted from the front. */
export function normalizeAxis(axis: number, rank: number, who: string): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw new Error(`${who} has no axis ${axis}: the tensor has ${rank} axes, so -${rank} to ${rank - 1}.`);
  }
  return normal;
}

/** The symbols a dimension is made of: `['batch', 'seq']` for `2*batch*seq`. */
export function symbolsOf(dim: Dim): string[] {
  return split(dim)[1];
}

/** The number in front of a dimension's symbols: 2 for `2*batch*seq`. */
export function coefficientOf(dim: Dim): number {
  return split(dim)[0];
}

function split(dim: Dim): [number, string[]] {
  if (typeof dim === 'number') return [dim, []];
  const factors = dim.split('*');
  return /^\d+$/.test(factors[0]) ? [Number(factors[0]), factors.slice(1)] : [1, factors];
}

function join(coefficient: number, symbols: string[]): Dim {
  if (symbols.length === 0 || coefficient === 0) return coefficient;
  const sorted = [...symbols].sort();
  return (coefficient === 1 ? sorted : [coefficient, ...sorted]).join('*');
}
