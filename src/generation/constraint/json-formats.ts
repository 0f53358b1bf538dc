/**
 * The formats of strings that are enforced, each as a pattern of what is written: all of it is of the format, and not
 * all that is of the format is written (no leap days, no comments in addresses).
 */
const octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const date =
  '[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))';
const clock = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?';
const zone = '(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])';
const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?';
const host = `${label}(?:\\.${label}){0,3}`;
const path = "(?:/[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,64}){0,8}";
const query = "(?:\\?[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,64})?(?:#[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,64})?";

export const formats: Readonly<Record<string, string>> = {
  date,
  time: `${clock}${zone}`,
  'date-time': `${date}T${clock}${zone}`,
  duration: 'P(?:[1-9][0-9]{0,3}W|[1-9][0-9]{0,3}D(?:T[1-9][0-9]{0,3}H)?|T[1-9][0-9]{0,3}[HMS])',
  email: `[a-zA-Z0-9_+-]{1,32}(?:\\.[a-zA-Z0-9_+-]{1,31})?@${label}(?:\\.${label}){1,3}`,
  hostname: host,
  ipv4: `${octet}(?:\\.${octet}){3}`,
  ipv6: '[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}',
  uri: `https?://${host}(?::[1-9][0-9]{0,3})?${path}${query}`,
  uuid: '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}',
};
