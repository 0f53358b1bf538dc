/** Base64 of images, in pieces. */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const values = new Uint8Array(128).fill(255);
for (let value = 0; value < 64; value++) values[alphabet.charCodeAt(value)] = value;

/** Decodes base64 that comes as bytes of text, cut anywhere. */
export function createBase64Decoder(): {
  /** @throws Error at a character that base64 has not */
  push(text: Uint8Array): void;
  /** What has been decoded, whole. */
  bytes(): Uint8Array<ArrayBuffer>;
} {
  const parts: Uint8Array[] = [];
  let size = 0;
  let word = 0;
  let bits = 0;
  return {
    push(text) {
      const part = new Uint8Array(Math.ceil((text.byteLength * 3) / 4) + 1);
      let length = 0;
      for (const character of text) {
        if (character === 61) continue;
        const value = values[character] ?? 255;
        if (value === 255) throw new Error('An image of the service is not in base64.');
        word = ((word << 6) | value) & 0xffff;
        bits += 6;
        if (bits >= 8) {
          bits -= 8;
          part[length++] = (word >> bits) & 0xff;
        }
      }
      parts.push(part.subarray(0, length));
      size += length;
    },
    bytes() {
      const whole = new Uint8Array(size);
      let offset = 0;
      for (const part of parts) {
        whole.set(part, offset);
        offset += part.byteLength;
      }
      return whole;
    },
  };
}

/** Bytes that become base64 at once: whole groups of three, few enough to be arguments of a call. */
const stride = 3 * 8192;

/** Bytes in base64. */
export function encodeBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let start = 0; start < bytes.byteLength; start += stride) {
    parts.push(btoa(String.fromCharCode(...bytes.subarray(start, start + stride))));
  }
  return parts.join('');
}
