/** What a file tells of its origin: that a model drew it, and how. */
import { crc32 } from 'node:zlib';

/** Whose image it is. */
export interface Origin {
  model: string;
  prompt: string;
}

/** How it was drawn. */
export interface Settings {
  negative_prompt?: string;
  steps: number;
  scheduler: string;
  guidance_scale: number;
  seed: number;
}

/** IPTC's name for media made wholly by a trained model. */
export const SOURCE_TYPE = 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia';

/** The names that image tools show for schedulers. */
const samplers: Readonly<Record<string, string>> = {
  ddpm: 'DDPM',
  ddim: 'DDIM',
  euler: 'Euler',
  euler_a: 'Euler a',
  heun: 'Heun',
  dpmpp_2m: 'DPM++ 2M',
  lcm: 'LCM',
  flow_euler: 'Euler flow',
};

/** The parameters as the text that image tools read: prompt, negative prompt, and a line of settings. */
export function parametersText(
  { model, prompt }: Origin,
  { negative_prompt, steps, scheduler, guidance_scale, seed }: Settings,
  { width, height }: { width: number; height: number },
): string {
  const line = [
    `Steps: ${steps}`,
    `Sampler: ${samplers[scheduler] ?? scheduler}`,
    `CFG scale: ${guidance_scale}`,
    `Seed: ${seed}`,
    `Size: ${width}x${height}`,
    `Model: ${model}`,
  ];
  return [prompt, ...(negative_prompt ? [`Negative prompt: ${negative_prompt}`] : []), line.join(', ')].join(
    '\n',
  );
}

/** An XMP packet with the source type, the tool and the prompt. */
export function xmpPacket({ model, prompt }: Origin): string {
  return `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool="${escapeXml(`wick ${model}`)}"
    Iptc4xmpExt:DigitalSourceType="${SOURCE_TYPE}">
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">${escapeXml(prompt)}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** Characters that XML 1.0 has no way to hold become U+FFFD. */
const escapeXml = (text: string) =>
  text
    .replace(/[&<>"'\t\n\r]/g, (character) => entities[character])
    .replace(/[^\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');

/** A PNG file with a text before its pixels: as tEXt where Latin-1 holds it, else as iTXt. */
export function withPngText(png: Buffer, keyword: string, text: string): Buffer {
  // U+0000 would end the text.
  const content = text.replaceAll('\0', '\ufffd');
  const latin = /^[\n\x20-\x7e\xa1-\xff]*$/.test(content);
  const body = latin
    ? Buffer.from(`tEXt${keyword}\0${content}`, 'latin1')
    : Buffer.concat([Buffer.from(`iTXt${keyword}\0\0\0\0\0`, 'latin1'), Buffer.from(content, 'utf8')]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(body.length - 4, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  // After the signature and IHDR, which come first and are always as long.
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}
