import { expect, test } from 'vitest';
import { sharedBundle } from './shared-bundle.ts';

test('the Worker holds nothing that makes code while it runs, which is forbidden there', async () => {
  const [entry] = (await sharedBundle()).modules;
  const text = String(entry.contents);
  // What reads ONNX by its schema (protobufjs/light) does; what passes over fields (protobufjs/minimal) does not.
  expect(text).toContain('invalid wire type');
  expect(text.match(/\bFunction(\.apply)?\(|\beval\(/g)).toBeNull();
});
