/** Images of a drawing as files, one at a time. */
import { createBase64Decoder } from './base64.ts';
import type { Drawn } from './drawing.ts';

/** An image with its bytes. */
export interface DrawnImage {
  type: 'image';
  index: number;
  seed: number;
  format: string;
  width: number;
  height: number;
  bytes: Uint8Array<ArrayBuffer>;
}

export type CollectedEvent = Exclude<Drawn, { type: 'head' | 'base64' | 'image' | 'partial' }> | DrawnImage;

/** The same events with each image in one, and without previews. */
export async function* collectImages(drawn: AsyncGenerator<Drawn>): AsyncGenerator<CollectedEvent> {
  let decoder = createBase64Decoder();
  for await (const event of drawn) {
    if (event.type === 'base64') decoder.push(event.bytes);
    else if (event.type === 'head' || event.type === 'partial') decoder = createBase64Decoder();
    else if (event.type === 'image') {
      const { b64_json, ...image } = event;
      const bytes = decoder.bytes();
      decoder = createBase64Decoder();
      yield { ...image, bytes };
    } else yield event;
  }
}
