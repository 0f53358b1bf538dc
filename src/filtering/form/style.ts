/** Tone and style: what a model is told, how it is sampled, and how long it may be, together under a name. */

export interface Style {
  /** What the model is told. */
  instruction: string;
  /** Where the request does not say them itself. */
  parameters: { temperature?: number; top_p?: number; max_tokens?: number };
  max_reading_level?: number;
}

/** Styles by their names. */
export const styles = {
  concise: {
    instruction: 'Answer briefly, in one to three plain sentences.',
    parameters: { temperature: 0.4, max_tokens: 160 },
  },
  detailed: {
    instruction: 'Answer thoroughly: explain step by step, with examples.',
    parameters: { temperature: 0.6, max_tokens: 1200 },
  },
  formal: {
    instruction: 'Answer in a formal and impersonal tone, without contractions.',
    parameters: { temperature: 0.5 },
  },
  friendly: {
    instruction: 'Answer warmly and simply, as a good friend would.',
    parameters: { temperature: 0.8 },
  },
  playful: {
    instruction: 'Answer with wit and playful pictures.',
    parameters: { temperature: 1, top_p: 0.95 },
  },
  technical: {
    instruction: 'Answer precisely, in technical terms, with code where it helps.',
    parameters: { temperature: 0.3 },
  },
  child: {
    instruction: 'Answer for a child of eight years, in short sentences and everyday words.',
    parameters: { temperature: 0.7, max_tokens: 300 },
    max_reading_level: 4,
  },
} as const satisfies Record<string, Style>;

/** A style by its name, or one that is described. */
export const styleOf = (style: string): Style =>
  Object.hasOwn(styles, style)
    ? styles[style as keyof typeof styles]
    : { instruction: `Answer in this style: ${style}`, parameters: {} };
