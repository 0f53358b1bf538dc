/**
 * Does something that writes all of its output or none of it, and that a person may stop meanwhile.
 * @param finish ends the progress that is shown
 * @returns undefined where it was stopped, which is told
 */
export async function untilStopped<T>(
  finish: () => void,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  try {
    const result = await work(stop.signal);
    finish();
    return result;
  } catch (error) {
    finish();
    if (!stop.signal.aborted) throw error;
    console.error('wick: stopped, nothing was written.');
    process.exitCode = 130;
    return undefined;
  }
}
