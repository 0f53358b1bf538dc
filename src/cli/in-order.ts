/**
 * Works on items of a source, several at a time, and gives the results in the order of the items. What goes wrong with
 * an item, or in the source, is thrown after the results before it.
 */
export async function* inOrder<Item, Result>(
  source: Iterable<Item> | AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = [];
  for await (const item of endingWith(source, (error) => running.push(rejected(error)))) {
    running.push(work(item));
    // It is waited for in its turn.
    running.at(-1)!.catch(() => {});
    if (running.length >= atOnce) yield await running.shift()!;
  }
  for (const result of running) yield await result;
}

/** A source that ends where it fails, and tells why. */
async function* endingWith<Item>(
  source: Iterable<Item> | AsyncIterable<Item>,
  failed: (error: unknown) => void,
): AsyncGenerator<Item> {
  const items = (async function* () {
    yield* source;
  })();
  try {
    while (true) {
      const next = await items.next().catch((error: unknown) => {
        failed(error);
        return { done: true } as const;
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await items.return(undefined);
  }
}

function rejected(error: unknown): Promise<never> {
  const result = Promise.reject(error);
  result.catch(() => {});
  return result;
}
