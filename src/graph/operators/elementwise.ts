/** Operators that work element by element, with NumPy broadcasting, and their gradients. */
import {
  type DType,
  elementTypes,
  float,
  type GradientContext,
  int,
  numberOf,
  type Operator,
  type Type,
  type Value,
} from '../graph.ts';
import { broadcast, formatShape } from '../shape.ts';
import { sumTo } from './reduction.ts';

type Rule = (context: {
  gradient: Value;
  a: Value;
  b: Value;
  output: Value;
}) => [Value | undefined, Value | undefined];

function requireSameType(name: string, a: Value, b: Value): void {
  if (a.dtype !== b.dtype) {
    throw new Error(`${name} needs two tensors of one type, got ${a.dtype} and ${b.dtype}.`);
  }
}

/** An operator of two inputs whose shapes are broadcast. Its rule gives gradients of the broadcast shape. */
function binary(name: string, rule?: Rule, result?: DType): Operator {
  return {
    name,
    domain: '',
    infer([a, b]) {
      requireSameType(name, a!, b!);
      return [
        {
          dtype: result ?? a!.dtype,
          shape: broadcast(a!.shape, b!.shape, name),
        },
      ];
    },
    gradient:
      rule &&
      (({ inputs, outputs, gradients }) => {
        const [a, b] = inputs as [Value, Value];
        const [da, db] = rule({
          gradient: gradients[0]!,
          a,
          b,
          output: outputs[0],
        });
        return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)];
      }),
  };
}

type UnaryRule = (gradient: Value, input: Value, output: Value) => Value | undefined;

/** An operator of one floating-point input that keeps its shape. */
function unary(name: string, rule?: UnaryRule, domain = ''): Operator {
  return {
    name,
    domain,
    infer([x]): Type[] {
      if (x!.dtype !== 'float32' && x!.dtype !== 'float16' && name !== 'Neg' && name !== 'Abs') {
        throw new Error(`${name} needs a floating-point tensor, got ${x!.dtype}${formatShape(x!.shape)}.`);
      }
      return [{ dtype: x!.dtype, shape: x!.shape }];
    },
    gradient:
      rule &&
      (({ inputs, outputs, gradients }: GradientContext) => [rule(gradients[0]!, inputs[0]!, outputs[0])]),
  };
}

const addOperator = binary('Add', ({ gradient }) => [gradient, gradient]);
const subOperator = binary('Sub', ({ gradient }) => [gradient, neg(gradient)]);
const mulOperator = binary('Mul', ({ gradient, a, b }) => [mul(gradient, b), mul(gradient, a)]);
const divOperator = binary('Div', ({ gradient, b, output }) => {
  const da = div(gradient, b);
  return [da, neg(mul(da, output))];
});
// d(a^b) = b·a^(b-1); the exponent is taken as a constant unless it needs a gradient, which few graphs ask for.
const powOperator = binary('Pow', ({ gradient, a, b, output }) => [
  mul(gradient, mul(b, pow(a, sub(b, b.graph.scalar(1))))),
  mul(gradient, mul(output, log(a))),
]);
const maxOperator = binary('Max', ({ gradient, a, b }) => {
  const first = cast(greaterOrEqual(a, b), gradient.dtype);
  const da = mul(gradient, first);
  return [da, sub(gradient, da)];
});
const minOperator = binary('Min', ({ gradient, a, b }) => {
  const first = cast(greaterOrEqual(b, a), gradient.dtype);
  const da = mul(gradient, first);
  return [da, sub(gradient, da)];
});
const greaterOrEqualOperator = binary('GreaterOrEqual', undefined, 'bool');
const greaterOperator = binary('Greater', undefined, 'bool');
const lessOperator = binary('Less', undefined, 'bool');
const equalOperator = binary('Equal', undefined, 'bool');

const negOperator = unary('Neg', (gradient) => neg(gradient));
const absOperator = unary('Abs', (gradient, x) => mul(gradient, sign(x)));
const signOperator = unary('Sign', () => undefined);
const expOperator = unary('Exp', (gradient, _, y) => mul(gradient, y));
const logOperator = unary('Log', (gradient, x) => div(gradient, x));
const sqrtOperator = unary('Sqrt', (gradient, _, y) => div(mul(gradient, gradient.graph.scalar(0.5)), y));
const reciprocalOperator = unary('Reciprocal', (gradient, _, y) => neg(mul(gradient, mul(y, y))));
const tanhOperator = unary('Tanh', (gradient, _, y) => sub(gradient, mul(gradient, mul(y, y))));
const reluOperator = unary('Relu', (gradient, x) =>
  mul(gradient, cast(greater(x, x.graph.scalar(0)), gradient.dtype)),
);
const sigmoidOperator = unary('Sigmoid', (gradient, _, y) => mul(gradient, sub(y, mul(y, y))));
const erfOperator = unary('Erf', (gradient, x) =>
  mul(gradient, mul(exp(neg(mul(x, x))), x.graph.scalar(2 / Math.sqrt(Math.PI)))),
);
const cosOperator = unary('Cos', (gradient, x) => neg(mul(gradient, sin(x))));
const sinOperator = unary('Sin', (gradient, x) => mul(gradient, cos(x)));
// onnxruntime's fused x·sigmoid(x): one pass over memory where Sigmoid and Mul take two.
const siluOperator = unary(
  'QuickGelu',
  (gradient, x, y) => {
    // d(x·s) = s + x·s·(1-s) = s·(1 - y) + y, with s = sigmoid(x)
    const s = sigmoid(x);
    return mul(gradient, add(y, sub(s, mul(s, y))));
  },
  'com.microsoft',
);

const castOperator: Operator = {
  name: 'Cast',
  domain: '',
  infer([x], attributes) {
    const to = numberOf(attributes, 'to');
    const dtype = (Object.keys(elementTypes) as DType[]).find((name) => elementTypes[name] === to)!;
    return [{ dtype, shape: x!.shape }];
  },
  gradient: ({ inputs, gradients }) => [
    inputs[0]!.dtype.startsWith('float') ? cast(gradients[0]!, inputs[0]!.dtype) : undefined,
  ],
};
const whereOperator: Operator = {
  name: 'Where',
  domain: '',
  infer([condition, a, b]) {
    if (condition!.dtype !== 'bool')
      throw new Error(`Where needs a bool condition, got ${condition!.dtype}.`);
    requireSameType('Where', a!, b!);
    return [
      {
        dtype: a!.dtype,
        shape: broadcast(condition!.shape, broadcast(a!.shape, b!.shape, 'Where'), 'Where'),
      },
    ];
  },
  gradient({ inputs, gradients }) {
    const [condition, a, b] = inputs as Value[];
    const zero = a.graph.scalar(0, a.dtype);
    return [
      undefined,
      sumTo(where(condition, gradients[0]!, zero), a.shape),
      sumTo(where(condition, zero, gradients[0]!), b.shape),
    ];
  },
};

const two = (operator: Operator) => (a: Value, b: Value) => a.graph.apply(operator, [a, b])[0];
const one = (operator: Operator) => (x: Value) => x.graph.apply(operator, [x])[0];

/** a + b, broadcast. */
export const add = two(addOperator);
/** a - b, broadcast. */
export const sub = two(subOperator);
/** a · b element by element, broadcast. */
export const mul = two(mulOperator);
/** a / b, broadcast. */
export const div = two(divOperator);
/** a to the power b, broadcast; differentiable where a is positive. */
export const pow = two(powOperator);
/** The larger of a and b, broadcast. */
export const max = two(maxOperator);
/** The smaller of a and b, broadcast. */
export const min = two(minOperator);
/** a >= b as bool. */
export const greaterOrEqual = two(greaterOrEqualOperator);
/** a > b as bool. */
export const greater = two(greaterOperator);
/** a < b as bool. */
export const less = two(lessOperator);
/** a == b as bool. */
export const equal = two(equalOperator);
export const neg = one(negOperator);
export const abs = one(absOperator);
export const sign = one(signOperator);
export const exp = one(expOperator);
export const log = one(logOperator);
export const sqrt = one(sqrtOperator);
export const reciprocal = one(reciprocalOperator);
export const tanh = one(tanhOperator);
export const relu = one(reluOperator);
export const sigmoid = one(sigmoidOperator);
export const erf = one(erfOperator);
export const cos = one(cosOperator);
export const sin = one(sinOperator);
/** x · sigmoid(x) (Elfwing et al., 2017), as onnxruntime's QuickGelu with alpha 1. */
export const silu = (x: Value): Value => x.graph.apply(siluOperator, [x], { alpha: float(1) })[0];
/** x as another element type. */
export const cast = (x: Value, to: DType): Value =>
  x.dtype === to ? x : x.graph.apply(castOperator, [x], { to: int(elementTypes[to]) })[0];
/** a where the condition holds, elsewhere b; all broadcast. */
export const where = (condition: Value, a: Value, b: Value): Value =>
  a.graph.apply(whereOperator, [condition, a, b])[0];
