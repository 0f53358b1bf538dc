/** Which model this is exactly: the same hash wherever the same files are. */

/** What a model's answers follow from. */
export interface RevisionParts {
  /** SHA-256 of each file of the graph, in hexadecimal: the .onnx first, then those of its weights by name. */
  graph: readonly string[];
  config: object;
  generationConfig: object;
  /** tokenizer.json */
  tokenizer: object;
  /** tokenizer_config.json, with the chat template */
  tokenizerConfig: object;
}

/**
 * A model's revision: 16 hexadecimal digits of a SHA-256. The JSON files count by what they say and not by their white
 * space, since a bundle keeps no more of them.
 */
export async function modelRevision(parts: RevisionParts): Promise<string> {
  const { graph, config, generationConfig, tokenizer, tokenizerConfig } = parts;
  const json = [config, generationConfig, tokenizer, tokenizerConfig].map((file) => JSON.stringify(file));
  const hashes = await Promise.all(json.map((text) => sha256(new TextEncoder().encode(text))));
  return (await sha256(new TextEncoder().encode([...graph, ...hashes].join('\n')))).slice(0, 16);
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
