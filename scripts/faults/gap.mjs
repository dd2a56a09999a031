/** The longest time between two answers that were given as wished. */
export class Gap {
  constructor(operation) {
    this.operation = operation;
    this.last = performance.now();
    this.longestMs = 0;
    this.refused = 0;
    this.startedAt = this.last;
  }

  note(answer) {
    if (answer?.status === 200) {
      this.longestMs = Math.max(this.longestMs, performance.now() - this.last);
      this.last = performance.now();
    } else if (answer === undefined || answer.status === 503) {
      this.refused += 1;
    }
  }

  /** Answers flow again, and enough time has passed for the fault to have shown. */
  hasRecovered() {
    const now = performance.now();
    return now - this.startedAt > 25_000 && now - this.last < 500;
  }

  text() {
    return `${this.operation} without a 200 for ${(this.longestMs / 1000).toFixed(1)} s, ${this.refused} refused or lost`;
  }
}
