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
