/** Several generators as one. */

/**
 * The values of generators as they come, each one's in its order. A generator is asked for its next value when the one
 * before was taken.
 * @param atOnce so many go at a time, the first first
 * @param leave is called before generators that are not over are left, so that what they wait for can be ended
 */
export async function* merge<T>(
  sources: readonly AsyncGenerator<T>[],
  atOnce: number,
  leave: () => void,
): AsyncGenerator<T> {
  const ready: { source: AsyncGenerator<T>; result: Promise<IteratorResult<T>> }[] = [];
  let going = Math.min(atOnce, sources.length);
  let next = going;
  let wake = () => {};
  const ask = (source: AsyncGenerator<T>): void => {
    const result = source.next();
    const come = () => {
      ready.push({ source, result });
      wake();
    };
    result.then(come, come);
  };
  try {
    for (const source of sources.slice(0, going)) ask(source);
    while (going > 0) {
      const first = ready.shift();
      if (!first) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const { done, value } = await first.result;
      if (!done) {
        yield value;
        ask(first.source);
      } else if (next < sources.length) ask(sources[next++]);
      else going--;
    }
  } finally {
    leave();
    await Promise.allSettled(sources.map((source) => source.return(undefined)));
  }
}
