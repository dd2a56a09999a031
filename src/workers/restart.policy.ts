const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** In a row; they take about two seconds, and what each of them does itself. */
const MOST_FAILED_STARTS = 5;

/** A worker that has served for so long did not fail at its start. */
export const LASTING_MS = 5_000;

/** When a worker that has ended is replaced. One for each place among the workers. */
export class RestartPolicy {
  private failedStarts = 0;

  /** The worker has served for `LASTING_MS`. */
  lasted(): void {
    this.failedStarts = 0;
  }

  /**
   * @param hasLasted whether the worker that has ended had served for `LASTING_MS`
   * @param isAnotherServing as long as one serves, the others are tried again and again: what is wrong may pass, and a
   *   service with fewer workers is better than none
   * @returns the pause before the next start, in milliseconds; undefined: it is of no use
   */
  afterEnd(hasLasted: boolean, isAnotherServing: boolean): number | undefined {
    if (hasLasted) {
      return 0;
    }
    this.failedStarts += 1;
    if (this.failedStarts >= MOST_FAILED_STARTS && !isAnotherServing) {
      return undefined;
    }
    return Math.min(SHORTEST_PAUSE_MS * 2 ** (this.failedStarts - 1), LONGEST_PAUSE_MS);
  }
}
