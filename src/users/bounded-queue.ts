import { OverloadedError } from '../platform/common/domain.errors.js';

export interface BoundedQueueLimits {
  readonly maxRunning: number;
  readonly maxWaiting: number;
}

/**
 * Runs at most `maxRunning` pieces of work at a time, first come first served, and refuses the next one at once when
 * `maxWaiting` wait already: its client would have given up before the work begins.
 */
export class BoundedQueue {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly limits: BoundedQueueLimits) {}

  get waitingCount(): number {
    return this.waiting.length;
  }

  /**
   * Lets a caller skip the preparation of work that would be refused now. `run` may refuse the work nevertheless.
   *
   * @throws OverloadedError when the queue is full
   */
  requireRoom(): void {
    if (this.running >= this.limits.maxRunning && this.waiting.length >= this.limits.maxWaiting) {
      throw new OverloadedError(`${this.waiting.length} are waiting already`);
    }
  }

  /** @throws OverloadedError when the queue is full; `work` was not called */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.takeSlot();
    try {
      return await work();
    } finally {
      this.passSlotOn();
    }
  }

  private async takeSlot(): Promise<void> {
    if (this.running < this.limits.maxRunning) {
      this.running += 1;
      return;
    }
    this.requireRoom();
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** The slot goes straight to the longest waiting, so that a newcomer cannot take it in between. */
  private passSlotOn(): void {
    const next = this.waiting.shift();
    if (next === undefined) {
      this.running -= 1;
    } else {
      next();
    }
  }
}
