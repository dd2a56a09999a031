const controller = new AbortController();

// Both stay installed, because each signal may come twice: npm repeats one that the terminal has sent to the group.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    controller.abort();
  });
}

/**
 * Aborted at SIGINT and SIGTERM. A program loads this module before any other: until a process has a listener, the
 * kernel ignores a SIGTERM if it is the first process of a container.
 */
export const interruption: AbortSignal = controller.signal;
