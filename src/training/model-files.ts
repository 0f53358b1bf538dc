/** The files of a model folder by their names in it: what to write, or where to copy from. */
export interface ModelFiles {
  parameters: number;
  write: Record<string, Uint8Array | string>;
  copy: Record<string, string>;
}

/** JSON as it stands in a file. */
export const jsonLines = (json: unknown): string => `${JSON.stringify(json, null, 2)}\n`;
