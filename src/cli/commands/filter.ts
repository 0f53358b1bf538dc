import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { groupOf } from '../../filtering/detectors.ts';
import type { FilterPiece, FilterSpan } from '../../filtering/filter-stream.ts';
import { defaultPolicy, proveSafety, proveTagged } from '../../filtering/load-policy.ts';
import { type Direction, needsTagger } from '../../filtering/policy.ts';
import { checkSafety, type Judge, type Role, roles, type SafetyVerdict } from '../../filtering/safety.ts';
import { filterTaggedText } from '../../filtering/tagged-stream.ts';
import { loadClassifierFolder } from '../../service/classifier-folder.ts';
import { loadTaggerFolder } from '../../service/tagger-folder.ts';
import { inOrder } from '../in-order.ts';
import { printJson, styled } from '../output.ts';
import { readPolicyFile } from '../policy-file.ts';
import { printable } from '../remote/server.ts';

interface Options {
  policy?: string;
  direction: Direction;
  role?: Role;
  key?: string;
  safety: boolean;
  names: boolean;
  json?: boolean;
  explain?: boolean;
}

/** The models that ship, wherever the command is called. */
const [guardFolder, taggerFolder] = ['wick-guard', 'wick-tagger'].map((name) =>
  fileURLToPath(new URL(`../../../models/${name}`, import.meta.url)),
);
/** Texts that are filtered at a time: the networks read them together. */
const AT_ONCE = 16;

/** `wick filter`: what a policy finds in texts and makes of them. */
export function filterCommand(): Command {
  return new Command('filter')
    .description(
      'Find personal data, secrets and what may be harmful in texts, and do with them what a policy says.',
    )
    .argument('[text...]', 'a text; else JSON lines {"text": …} are read from standard input')
    .option(
      '--policy <file>',
      'a policy file; by default keys, means of payment and identity numbers are masked, and what is gravest is refused',
    )
    .addOption(
      new Option('--direction <direction>', 'whether a person sends the text or a model answers it')
        .choices(['input', 'output'])
        .default('input'),
    )
    .addOption(
      new Option('--role <role>', 'whose words they are, for rules that are for some').choices(roles),
    )
    .option(
      '--no-safety',
      'find personal data and secrets alone: what a text means is not judged, and many more are done in a second',
    )
    .option('--no-names', 'find no names and street addresses, which takes a network')
    .option('--key <name>', "the caller's key, for rules that are for some")
    .option('--json', 'a line of JSON for each text; so it is without --explain, too')
    .option('--explain', 'show what was found and why')
    .addHelpText('after', '\nA policy that hashes takes its secret from WICK_FILTER_SECRET.')
    .action(
      async (
        words: string[],
        { policy: file, direction, role, key, safety, names, json, explain }: Options,
      ) => {
        const policy = file === undefined ? defaultPolicy() : readPolicyFile(file).policy;
        if (!names && needsTagger(policy, direction, key))
          throw new Error(
            `The policy "${policy.name}" acts on names or addresses, which --no-names does not find.`,
          );
        const secret = process.env.WICK_FILTER_SECRET;
        const judge = safety ? await loadClassifierFolder(guardFolder, { threads: 1 }) : undefined;
        if (judge) await proveSafety(policy, judge);
        const tagger = names ? await loadTaggerFolder(taggerFolder, { threads: 1 }) : undefined;
        if (tagger) await proveTagged(policy, tagger);
        const filtered = inOrder(
          words.length > 0 ? [words.join(' ')] : textsOf(process.stdin),
          AT_ONCE,
          async (text) => {
            const result = await filterTaggedText(text, policy, direction, tagger, { key, secret });
            // As on a route, what goes on is judged.
            const goingOn = result.refused ? text : result.text;
            const verdict =
              judge && (await checkSafety(goingOn, policy.safety, { direction, role, key }, judge));
            return { text, result, verdict };
          },
        );
        let number = 0;
        for await (const { text, result, verdict } of filtered) {
          number++;
          if (explain && !json) process.stdout.write(explanation(number, text, result, verdict, judge));
          else printJson(answer(result, verdict));
        }
      },
    );
}

/** The texts of JSON lines. What is wrong with a line is told with its number, and ends the reading. */
async function* textsOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let number = 0;
  for await (const line of linesOf(input)) {
    number++;
    const refuse = (why: string, cause?: unknown): never => {
      throw new Error(`Line ${number} ${why}.`, { cause });
    };
    let json = '';
    try {
      json = new TextDecoder('utf-8', { fatal: true }).decode(line);
    } catch (error) {
      refuse('is not UTF-8', error);
    }
    if (json.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch (error) {
      refuse(`is not JSON: ${(error as Error).message}`, error);
    }
    const text = typeof value === 'object' && value !== null ? (value as { text?: unknown }).text : undefined;
    if (typeof text !== 'string') refuse('has no text: it has to be like {"text": "…"}');
    yield text as string;
  }
}

/** The bytes between line feeds. A line is put together once, however many pieces it comes in. */
async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  for await (const piece of input) {
    let from = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      yield Buffer.concat([...parts, piece.subarray(from, end)]);
      parts = [];
      from = end + 1;
    }
    parts.push(piece.subarray(from));
  }
  yield Buffer.concat(parts);
}

/** What is said of a text: categories are the groups of entities, and those that the classifier judges. */
function answer({ text, spans, refused }: FilterPiece, verdict?: SafetyVerdict) {
  const groups = [...new Set(groupOf.values())];
  const surest = (group: string) =>
    Math.max(0, ...spans.filter(({ type }) => groupOf.get(type) === group).map(({ score }) => score));
  const scores = Object.fromEntries(groups.map((group) => [group, surest(group)]));
  const why =
    refused ?? (verdict?.refused && { type: verdict.refused.category, message: verdict.refused.message });
  return {
    // Of a text that is refused for what it means, nothing goes on.
    text: verdict?.refused ? '' : text,
    spans: spans.map(({ start, end, type, score, action, via }) => ({
      start,
      end,
      type,
      score,
      action,
      via,
    })),
    flagged: why !== undefined || verdict?.flagged === true || spans.some(({ action }) => action !== 'allow'),
    categories: {
      ...verdict?.categories,
      ...Object.fromEntries(groups.map((group) => [group, scores[group] > 0])),
    },
    scores: { ...rounded(verdict?.scores), ...scores },
    ...(why && { refused: why }),
  };
}

const rounded = (scores: Readonly<Record<string, number>> = {}) =>
  Object.fromEntries(Object.entries(scores).map(([name, score]) => [name, Number(score.toFixed(6))]));

const done: Record<FilterSpan['action'], string> = {
  allow: 'it stays',
  replace: 'a placeholder stands for it',
  hash: 'its hash stands for it',
  mask: 'it is masked',
  refuse: 'it is refused, and nothing follows',
};

/** For a person: the text with what was found in it, and a line on each. */
function explanation(
  number: number,
  text: string,
  { text: filtered, spans, refused }: FilterPiece,
  verdict: SafetyVerdict | undefined,
  judge: Judge | undefined,
): string {
  let shown = '';
  let at = 0;
  for (const { start, end, action } of spans) {
    const found = styled(
      [action === 'allow' ? 'cyan' : 'yellow', 'underline'],
      printable(text.slice(start, end)),
    );
    shown += `${printable(text.slice(at, start))}${found}`;
    at = end;
  }
  const lines = spans.map(({ start, end, type, score, action, why, via }) => {
    const hidden = via.length > 0 ? `, hidden by ${via.join(', in it ')}` : '';
    return `   ${start}-${end}  ${styled('bold', type)}  ${score}  ${done[action]}: ${why.map(printable).join(', ')}${hidden}`;
  });
  if (verdict && judge) lines.push(...meaning(verdict, judge));
  if (lines.length === 0) lines.push('   nothing is found');
  for (const why of [refused, verdict?.refused]) if (why) lines.push(`   ${styled('red', why.message)}`);
  if (filtered !== text) lines.push(`   gives: ${printable(filtered)}`);
  return `${number}  ${shown}${printable(text.slice(at))}\n${lines.join('\n')}\n`;
}

/** A line on each category that a text has. */
function meaning(
  { categories, scores, told, refused, injections, phrases }: SafetyVerdict,
  judge: Judge,
): string[] {
  const there = Object.keys(categories).filter((category) => categories[category]);
  return there.map((category) => {
    const done =
      category === refused?.category
        ? 'it is refused'
        : (told as string[]).includes(category)
          ? 'it is told'
          : 'it stays';
    const rules = [
      ...(category === 'injection' ? injections : []),
      ...phrases
        .filter(({ categories }) => categories.includes(category))
        .map(({ score, words }) => ({ score, why: `it says "${words}"` })),
    ];
    const surer = rules.some(({ score }) => score >= scores[category]);
    const limit = judge.thresholds[category].threshold.toFixed(2);
    const why = [
      ...rules.map(({ why }) => why),
      ...(surer ? [] : [`wick-guard, which says so from ${limit} on`]),
    ];
    return `   the whole  ${styled('bold', category)}  ${scores[category].toFixed(2)}  ${done}: ${why.join(', ')}`;
  });
}
