/**
 * Wakes all that wait for it. A finished wait leaves no timer and no callback behind. A race against a long-lived
 * promise would: while the database is unavailable, that promise would collect a callback per request.
 */
export class Signal {
  private readonly wakers = new Set<() => void>();

  get waitingCount(): number {
    return this.wakers.size;
  }

  /** Wakes all that wait now, or so many of them, the longest waiting first; a later wait needs a later call. */
  tell(atMost = Number.POSITIVE_INFINITY): void {
    for (const wake of [...this.wakers].slice(0, atMost)) {
      wake();
    }
  }

  /**
   * Resolves at the next signal, after that many milliseconds, or when `isGone` aborts. A wait alone does not keep the
   * process alive.
   */
  within(ms: number, isGone?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        isGone?.removeEventListener('abort', wake);
        this.wakers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms).unref();
      this.wakers.add(wake);
      isGone?.addEventListener('abort', wake);
      if (isGone?.aborted === true) {
        wake();
      }
    });
  }
}
