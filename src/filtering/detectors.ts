/** All that is looked for. Names and addresses need a trained tagger: its spans would join in scan.ts as these do. */
import type { Detector } from './detector.ts';
import { contact } from './detectors/contact.ts';
import { financial } from './detectors/financial.ts';
import { nationalIds } from './detectors/national-ids.ts';
import { network } from './detectors/network.ts';
import { personal } from './detectors/personal.ts';
import { secrets } from './detectors/secrets.ts';

export const detectors: readonly Detector[] = [
  ...secrets,
  ...network,
  ...financial,
  ...contact,
  ...nationalIds,
  ...personal,
];

/** The names of all types, and of the groups they are in. */
export const types: readonly string[] = [...new Set(detectors.map(({ type }) => type))];
export const groupOf: ReadonlyMap<string, string> = new Map(
  detectors.map(({ type, group }) => [type, group]),
);
