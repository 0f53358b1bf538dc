// A key that is typed on the command line stands in the list of processes, for every user of the machine to read.

/**
 * Takes the value of `--key` out of the arguments, into the environment (WICK_KEY), and out of the list of processes.
 * @param {readonly string[]} args
 * @returns {string[]} the arguments, the key's value empty
 */
export function concealKey(args) {
  const end = args.indexOf('--');
  const at = args.findIndex((arg, i) => /^--key(=|$)/.test(arg) && (end < 0 || i < end));
  if (at < 0) return [...args];
  const [name, inline] = args[at].split(/=(.*)/s);
  const value = inline ?? args[at + 1];
  if (!value) return [...args];
  process.env.WICK_KEY = value;
  process.title = `wick ${args[0]}`;
  return [...args.slice(0, at), `${name}=`, ...args.slice(at + (inline === undefined ? 2 : 1))];
}
