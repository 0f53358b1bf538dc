import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { TextModel } from '../../../generation/model.ts';
import { bitsPerByte, type Score } from '../../../generation/scoring.ts';
import { loadModelFolder } from '../../../service/model-folder.ts';
import { resolveModel } from '../../hub/model-cache.ts';
import { formatCount, printJson } from '../../output.ts';
import { createProgress } from '../../progress.ts';

/** `wick eval bits-per-byte`: how well a text model foretells texts. */
export function bitsPerByteCommand(): Command {
  return new Command('bits-per-byte')
    .description(
      'How many bits a model needs for each byte of a text, all bytes counted, each token given at least half a context of what stands before it in the same file.',
    )
    .argument('<files...>', 'text files, read as they are')
    .requiredOption('--model <dir>', 'a model folder')
    .option('--json', 'print {"bits_per_byte", "tokens", …} as one line of JSON')
    .action(async (files: string[], options: { model: string; json?: boolean }) => {
      const texts = readTexts(files);
      const result = {
        ...(await scoreTexts(await loadModelFolder(resolveModel(options.model)), texts)),
        files: files.length,
      };
      if (options.json) return printJson(result);
      console.log(
        `${result.bits_per_byte.toFixed(4)} bits a byte over ${formatCount(result.tokens)} tokens, ${formatCount(result.bytes)} bytes in ${files.length} files.`,
      );
    });
}

/** Texts of files, in order. @throws Error naming one that cannot be scored */
export const readTexts = (files: readonly string[]): string[] => files.map(readText);

/** What a model needs for texts, each read by itself, with progress shown. */
export async function scoreTexts(
  model: TextModel,
  texts: readonly string[],
): Promise<Pick<Score, 'bits_per_byte' | 'tokens' | 'bytes'>> {
  const total = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const progress = createProgress({ label: 'eval', total, unit: 'byte' });
  let [bits, bytes, tokens] = [0, 0, 0];
  for (const text of texts) {
    const score = await bitsPerByte(model, text);
    bits += score.bits_per_byte * score.bytes;
    bytes += score.bytes;
    tokens += score.tokens;
    progress.update(bytes, `${(bits / bytes).toFixed(4)} bits/byte`);
  }
  progress.finish();
  return { bits_per_byte: bits / bytes, tokens, bytes };
}

function readText(path: string): string {
  const bytes = readFileSync(path);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error(`${path} is not UTF-8 text, so its bytes cannot be scored.`);
  }
  if (text.length === 0) throw new Error(`${path} is empty: there is nothing to score.`);
  return text;
}
