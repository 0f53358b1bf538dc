/** What rows of published data sets say of their texts, in the names of a classifier's labels. */

/** The short names in OpenAI's release of its moderation data (Markov et al., 2023). */
const shortNames: Readonly<Record<string, string>> = {
  ...{ S: 'sexual', S3: 'sexual/minors', H: 'hate', H2: 'hate/threatening', HR: 'harassment' },
  ...{ SH: 'self-harm', V: 'violence', V2: 'violence/graphic' },
};

/** Values of a `label` that say that nothing is wrong. */
const nothing = new Set(['', 'neither', 'none', 'safe', 'benign', 'normal', 'ok', 'clean']);

export interface KnownLabels {
  text: string;
  /** Whether each label is there, where that is known. */
  labels: Map<string, boolean>;
  /** Whether the text should be flagged at all, where that is known. */
  flagged?: boolean;
  /** For how many texts it stands; 1 unless the row has a `weight`. */
  weight: number;
}

/**
 * Reads a row: its text in `text` or `prompt`; its labels in `labels` (an object of 0, 1 and booleans, in which what
 * is not named is unknown, or a list, beside which nothing else is there), in one `label`, or in fields of the labels'
 * names or of OpenAI's short ones; and whether it is to be flagged in `flagged` (or `unsafe`), or else by its labels.
 *
 * @throws Error saying what the row lacks, or which label is not among `names`
 */
export function knownLabels(row: unknown, names: readonly string[]): KnownLabels {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw new Error('it is no JSON object');
  const fields = row as Record<string, unknown>;
  const text = fields.text ?? fields.prompt;
  if (typeof text !== 'string') throw new Error('it has no "text" or "prompt" that is a text');
  const labels = new Map<string, boolean>();
  const set = (name: string, value: unknown) => {
    const label = shortNames[name] ?? name;
    if (!names.includes(label))
      throw new Error(`it has the label "${name}"; the model knows ${names.join(', ')}`);
    if (value === 0 || value === 1 || typeof value === 'boolean') labels.set(label, Boolean(value));
    else if (value !== null) throw new Error(`its label "${name}" is neither 0 nor 1`);
  };
  const only = (list: readonly string[]) => {
    for (const name of names) labels.set(name, false);
    for (const name of list) set(name, true);
  };
  if (Array.isArray(fields.labels)) only(fields.labels.map(String));
  else if (fields.labels) for (const [name, value] of Object.entries(fields.labels)) set(name, value);
  else if (typeof fields.label === 'string') {
    if (nothing.has(fields.label)) only([]);
    else set(fields.label, true);
  } else {
    for (const [name, value] of Object.entries(fields))
      if (names.includes(shortNames[name] ?? name)) set(name, value);
  }
  const said = fields.flagged ?? fields.unsafe;
  const flagged = said === 0 || said === 1 || typeof said === 'boolean' ? Boolean(said) : undefined;
  const weight = typeof fields.weight === 'number' && fields.weight > 0 ? fields.weight : 1;
  return { text, labels, flagged, weight };
}
