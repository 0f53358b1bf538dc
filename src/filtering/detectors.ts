/** All that is looked for: what patterns find, and what a trained tagger finds (tagged-stream.ts). */
import type { Detector, EntityGroup } from './detector.ts';
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

/** What no pattern tells from other words. */
export const taggedTypes = ['person_name', 'street_address'] as const;
const identity: EntityGroup = 'identity';

/** The names of all types, and of the groups they are in. */
export const types: readonly string[] = [...new Set([...detectors.map(({ type }) => type), ...taggedTypes])];
export const groupOf: ReadonlyMap<string, string> = new Map([
  ...detectors.map(({ type, group }) => [type, group] as const),
  ...taggedTypes.map((type) => [type, identity] as const),
]);
