/**
 * An ONNX file without its weights, of which each says where in the file itself it lies: who opens it gives the file
 * beside it, and no weight is in memory more often than it has to be. Fields are passed over as they are, without the
 * format's schema, whose reader makes code, which runtimes at the edge forbid.
 */
import protobuf from 'protobufjs/minimal.js';

const { Reader, Writer } = protobuf;
type Write = InstanceType<typeof Writer>;

/** Field numbers of the format (see onnx-schema.ts). */
const fields = { graph: 7, initializer: 5, rawData: 9, externalData: 13, dataLocation: 14, key: 1, value: 2 };
/** Tags of fields that have a length, and of those that are numbers. */
const LENGTH = 2;
const tag = (field: number, kind = LENGTH): number => field * 8 + kind;
/** What a protobuf calls bytes that lie elsewhere. */
const EXTERNAL = 1;
/** Bytes from which on a tensor is a weight: shapes and numbers are read while a graph is opened. */
const WEIGHT = 1024;

/**
 * @param name by which the graph knows the file that was given
 * @throws Error if the bytes are no protobuf
 */
export function withoutWeights(onnx: Uint8Array, name: string): Uint8Array {
  const tensor = (bytes: Uint8Array): Uint8Array =>
    rewritten(bytes, fields.rawData, (data, to) => {
      if (data.length < WEIGHT) return to.uint32(tag(fields.rawData)).bytes(data);
      const place = { location: name, offset: data.byteOffset - onnx.byteOffset, length: data.length };
      for (const [key, value] of Object.entries(place))
        to.uint32(tag(fields.externalData))
          .fork()
          .uint32(tag(fields.key))
          .string(key)
          .uint32(tag(fields.value))
          .string(String(value))
          .ldelim();
      return to.uint32(tag(fields.dataLocation, 0)).uint32(EXTERNAL);
    });
  const message = (field: number, inside: (bytes: Uint8Array) => Uint8Array) => (bytes: Uint8Array) =>
    rewritten(bytes, field, (value, to) => to.uint32(tag(field)).bytes(inside(value)));
  return message(fields.graph, message(fields.initializer, tensor))(onnx);
}

/** A message with one of its fields written anew, and all others as they are. */
function rewritten(
  bytes: Uint8Array,
  field: number,
  write: (value: Uint8Array, to: Write) => Write,
): Uint8Array {
  const reader = new Reader(bytes);
  const parts: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const found = reader.uint32();
    if (found === tag(field)) parts.push(write(reader.bytes(), Writer.create()).finish());
    else {
      reader.skipType(found & 7);
      parts.push(bytes.subarray(start, reader.pos));
    }
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
