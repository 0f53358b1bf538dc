/** What the bundler makes of files that are no code. */
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*.onnx' {
  const bytes: ArrayBuffer;
  export default bytes;
}
declare module '*.min.js' {
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

/** The runtime's own module (https://developers.cloudflare.com/durable-objects/api/base/). */
declare module 'cloudflare:workers' {
  export abstract class DurableObject<Env> {
    /** Tells the types of stubs that methods can be called from afar. */
    readonly __DURABLE_OBJECT_BRAND: never;
    protected readonly ctx: import('@cloudflare/workers-types').DurableObjectState;
    protected readonly env: Env;
    constructor(ctx: import('@cloudflare/workers-types').DurableObjectState, env: Env);
  }
}
