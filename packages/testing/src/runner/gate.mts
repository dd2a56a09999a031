import { setTimeout as pause } from 'node:timers/promises';

/** How long a change under way may take before its connection is cut. */
const PATIENCE_MS = 1_000;

/** Statements end within 7 s, and with them whatever has been cut. */
const LONGEST_END_MS = 15_000;

interface Change {
  readonly cut: () => void;
  readonly ended: Promise<void>;
}

/** Lets changes of one namespace run side by side, and a reset alone: what comes meanwhile waits until it is over. */
export class Gate {
  private readonly running = new Set<Change>();
  private last: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  /**
   * Resolves when a change may begin.
   *
   * @param cut is called when a reset has waited for its end for too long
   * @returns call it when the change has ended, also after a cut
   */
  async enter(cut: () => void = () => undefined): Promise<() => void> {
    while (this.isClosed) {
      await this.last;
    }
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const change = { cut, ended };
    this.running.add(change);
    return () => {
      this.running.delete(change);
      end();
    };
  }

  /** Runs `work` when all changes have ended; those that take longer than a second are cut first. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(async () => {
      this.isClosed = true;
      try {
        await this.emptied();
        return await work();
      } finally {
        this.isClosed = false;
      }
    });
    this.last = done.catch(() => undefined);
    return done;
  }

  /** @throws Error when something does not even end after a cut */
  private async emptied(): Promise<void> {
    for (const patienceMs of [PATIENCE_MS, LONGEST_END_MS]) {
      const timer = new AbortController();
      await Promise.race([
        Promise.all([...this.running].map(({ ended }) => ended)),
        pause(patienceMs, undefined, timer).catch(() => undefined),
      ]);
      timer.abort();
      if (this.running.size === 0) {
        return;
      }
      this.running.forEach(({ cut }) => {
        cut();
      });
    }
    throw new Error(`${this.running.size} requests did not end`);
  }
}
