/** A site's policy by which nothing is done: the Worker without its filter. */
export const allowing = JSON.stringify({
  version: 1,
  name: 'allows all',
  rules: [{ entities: ['*'], action: 'allow' }],
  examples: [{ text: '', direction: 'input', gives: '' }],
});
