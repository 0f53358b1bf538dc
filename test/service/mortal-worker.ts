/** A text model's thread that a prompt with the words "dies now" kills in the middle of its work. */
import { parentPort } from 'node:worker_threads';

parentPort!.on('message', (message) => {
  if (!JSON.stringify(message).includes('dies now')) return;
  setTimeout(() => {
    throw new Error('It was killed.');
  }, 20);
});
await import('../../src/service/model-worker.ts');
