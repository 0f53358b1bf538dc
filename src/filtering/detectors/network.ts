/** Which machine someone uses: addresses, and links that carry a password. */
import { alone, type Detector } from '../detector.ts';

const isIpv4 = (text: string) => text.split('.').every((part) => Number(part) < 256 && !/^0\d/.test(part));

/** Written with at least three groups; `::1` and the like are nobody's. */
const isIpv6 = (text: string) =>
  (text.match(/[\da-f]+/gi)?.length ?? 0) >= 3 && /\d/.test(text) && URL.canParse(`http://[${text}]/`);

export const network: readonly Detector[] = [
  {
    type: 'ip_address',
    group: 'network',
    hint: /\d\.\d/g,
    pattern: /(?:(?<![\w.:\\]|\d-)|(?<=\\[bfnrt]))\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)/g,
    score: 0.65,
    // The machine itself, and nowhere.
    check: (match) => isIpv4(match) && !/^(?:0|127|255)\./.test(match),
    context: /\b(?:ip|ipv4|address|host|server|client|login|from|ping)\b/i,
    against: /\b(?:version|release|build|v|section|chapter|firmware|update)\b\.?\s{0,2}$/i,
  },
  {
    type: 'ip_address',
    group: 'network',
    hint: /:[\da-f]{0,4}:/gi,
    pattern: alone('\\w:', '(?:[\\da-f]{0,4}:){2,7}(?:(?:\\d{1,3}\\.){3}\\d{1,3}|[\\da-f]{1,4}|:)', 'i'),
    score: 0.9,
    check: isIpv6,
  },
  {
    type: 'mac_address',
    group: 'network',
    hint: /[\da-f]{2}[:.-][\da-f]{2}/gi,
    pattern: alone(
      '\\w:',
      '[\\da-f]{2}(?::[\\da-f]{2}){5}|[\\da-f]{2}(?:-[\\da-f]{2}){5}|[\\da-f]{4}\\.[\\da-f]{4}\\.[\\da-f]{4}',
      'i',
    ),
    score: 0.8,
    check: (match) => !/^[0:.-]+$|^[f:.-]+$/i.test(match),
  },
  {
    type: 'url_credentials',
    group: 'secret',
    hint: '://',
    pattern: alone(
      'a-z\\d',
      '[a-z][a-z\\d+.-]{1,20}://[^\\s:@/"\'<>]{0,128}:[^\\s@/"\'<>]{1,256}@[\\w.-]{1,253}',
      'i',
    ),
    score: 0.95,
  },
];
