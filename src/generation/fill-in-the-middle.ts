/**
 * Prompts for what stands between two texts (Bavarian et al., 2022): a model that was trained for it reads both, round
 * marks of its own, and writes the middle.
 */
import type { TextModel } from './model.ts';
import { InvalidInputError } from './parameters.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

const [prefix, suffix] = [Symbol('what stands before'), Symbol('what stands behind')];

interface Family {
  /** Marks, and the two texts between them, in the order in which the model was trained to read them. */
  order: readonly (string | typeof prefix | typeof suffix)[];
  /** Marks with which the middle ends, beside the end of a text; not every model of the family has them. */
  ends?: readonly string[];
  /** Whether the tokenizer puts a space before a text, which the text behind must not have. */
  spaced?: boolean;
}

/** The first whose marks are all in a model's vocabulary is its own. */
const families: readonly Family[] = [
  // Qwen2.5-Coder, CodeGemma, Granite 4
  {
    order: ['<|fim_prefix|>', prefix, '<|fim_suffix|>', suffix, '<|fim_middle|>'],
    ends: ['<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<|file_separator|>', '<|endoftext|>'],
  },
  // StarCoder, StarCoder2, Granite Code, StableCode, Refact
  {
    order: ['<fim_prefix>', prefix, '<fim_suffix>', suffix, '<fim_middle>'],
    ends: ['<fim_pad>', '<file_sep>', '<|endoftext|>'],
  },
  // SantaCoder
  {
    order: ['<fim-prefix>', prefix, '<fim-suffix>', suffix, '<fim-middle>'],
    ends: ['<fim-pad>', '<|endoftext|>'],
  },
  // DeepSeek-Coder
  { order: ['<｜fim▁begin｜>', prefix, '<｜fim▁hole｜>', suffix, '<｜fim▁end｜>'] },
  // CodeLlama
  { order: ['▁<PRE>', prefix, '▁<SUF>', suffix, '▁<MID>'], ends: ['▁<EOT>'], spaced: true },
  // Codestral
  { order: ['[SUFFIX]', suffix, '[PREFIX]', prefix], spaced: true },
];

const isMark = (part: Family['order'][number]): part is string => typeof part === 'string';

/**
 * The tokens that ask for a middle, and those that end it.
 * @param before a text, or its tokens
 * @throws InvalidInputError if the model was not trained to fill in
 */
export function fillInTheMiddle(
  { id, tokenizer }: TextModel,
  before: { text: string } | { tokens: readonly number[] },
  after: string,
): { tokens: number[]; ends: number[] } {
  const knows = (mark: string) => tokenizer.idOf(mark) !== undefined;
  const family = families.find(({ order }) => order.filter(isMark).every(knows));
  if (!family) {
    throw new InvalidInputError(
      `The model ${id} does not fill in a middle: its vocabulary has no marks for what stands behind.`,
      { param: 'suffix', code: 'unsupported_parameter' },
    );
  }
  const { order, ends = [], spaced = false } = family;
  const tokensOf = (part: (typeof order)[number]): readonly number[] => {
    if (isMark(part)) return [tokenizer.idOf(part)!];
    if (part === suffix) return spaced ? unspaced(tokenizer, after) : tokenizer.encode(after);
    return 'tokens' in before ? before.tokens : tokenizer.encode(before.text);
  };
  return {
    tokens: [...beginning(tokenizer), ...order.flatMap(tokensOf)],
    ends: ends.filter(knows).map((mark) => tokenizer.idOf(mark)!),
  };
}

/** What the tokenizer puts before every text: `<s>`, or nothing. */
function beginning(tokenizer: TextTokenizer): number[] {
  const [plain] = tokenizer.encode('a');
  const marked = tokenizer.encode('a', { special: true });
  return marked.slice(0, marked.indexOf(plain));
}

/** The tokens of a text without the space that the tokenizer puts before one: behind a line break it puts none. */
function unspaced(tokenizer: TextTokenizer, text: string): number[] {
  const lead = tokenizer.encode('\n');
  const tokens = tokenizer.encode(`\n${text}`);
  return lead.every((token, i) => tokens[i] === token) ? tokens.slice(lead.length) : tokenizer.encode(text);
}
