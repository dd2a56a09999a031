/**
 * Wakes whoever waits for it. Who has stopped waiting leaves nothing behind, no timer and no callback, as it would with a
 * race against a promise that lives on: while the database is away that promise would collect one for every request.
 */
export class Signal {
  private readonly wakers = new Set<() => void>();

  get waitingCount(): number {
    return this.wakers.size;
  }

  /** Wakes those who wait now, and nobody who comes later. */
  tell(): void {
    for (const wake of [...this.wakers]) {
      wake();
    }
  }

  /**
   * Resolves when told, after that many milliseconds, or when `isGone` aborts. A wait does not keep a process alive which
   * has nothing else to do.
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
