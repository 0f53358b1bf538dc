/** Lets everything else that waits run once: timers, other requests, aborts. */
export const macrotask = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate: immediate } = globalThis as {
      setImmediate?: (task: () => void) => void;
    };
    if (immediate) immediate(resolve);
    else setTimeout(resolve, 0);
  });
