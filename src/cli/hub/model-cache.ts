/** Where models that were pulled lie, and how a command finds one by its name on the hub. */
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A name on the hub: OWNER/NAME. */
const HUB_NAME = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/;

/** Whether a text has the form of a model's name on the hub. */
export const isHubName = (name: string): boolean => HUB_NAME.test(name) && !name.includes('..');

/** The folder of pulled models: `WICK_CACHE`, or `wick/models` where programs keep such things. */
export const cacheFolder = (): string =>
  process.env.WICK_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'wick', 'models');

/** The folder of a pulled model. */
export const cachedFolder = (name: string): string => join(cacheFolder(), ...name.split('/'));

/** A model's folder, given as a path or by the name of one that was pulled; a path that is none stays as it is. */
export function resolveModel(model: string): string {
  if (existsSync(model) || !isHubName(model)) return model;
  const folder = cachedFolder(model);
  if (existsSync(folder)) return folder;
  throw new Error(
    `There is no folder ${model}, and it was not pulled either: wick pull ${model} brings it here.`,
  );
}

/** The folders of all pulled models. */
export function cachedModels(): string[] {
  const below = (folder: string) =>
    existsSync(folder)
      ? readdirSync(folder, { withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => join(folder, name))
          .sort()
      : [];
  return below(cacheFolder()).flatMap(below);
}
