/** What the bundler makes of files that are no code. */
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*.onnx' {
  const bytes: ArrayBuffer;
  export default bytes;
}
declare module '*.html' {
  const text: string;
  export default text;
}

/** The runtime's own pipe of bytes (https://developers.cloudflare.com/workers/runtime-apis/streams/transformstream/). */
declare class IdentityTransformStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}
