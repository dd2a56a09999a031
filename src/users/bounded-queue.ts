import { OverloadedError } from '../platform/common/domain.errors.js';

export interface BoundedQueueLimits {
  readonly maxRunning: number;
  readonly maxWaiting: number;
}

/** Whose work it is. */
export interface WorkOrigin {
  /** Work of different owners takes turns. */
  readonly owner: string;
  /** Called before the work begins: whether no one waits for it any more. */
  readonly isAbandoned: () => boolean;
}

interface Waiter {
  readonly isAbandoned: () => boolean;
  readonly begin: () => void;
  readonly refuse: (error: Error) => void;
}

/**
 * Runs at most `maxRunning` pieces of work at a time. Owners take turns, and each owner's work is done in the order in
 * which it came: one with much work does not delay the others. When `maxWaiting` wait already, it refuses the last piece
 * of the owner who has most, at once: that client would have given up before the work begins.
 */
export class BoundedQueue {
  private running = 0;
  private waitingTotal = 0;
  /** Keyed by owner, in the order of their turns; none is empty. */
  private readonly waiting = new Map<string, Waiter[]>();

  constructor(private readonly limits: BoundedQueueLimits) {}

  get waitingCount(): number {
    return this.waitingTotal;
  }

  /**
   * Lets a caller skip the preparation of work that would be refused now. `run` may refuse the work nevertheless.
   *
   * @throws OverloadedError when the queue is full and the owner has as much in it as any other
   */
  requireRoom(owner: string): void {
    if (this.running >= this.limits.maxRunning && this.waitingTotal >= this.limits.maxWaiting) {
      const own = this.waiting.get(owner)?.length ?? 0;
      if (own + 1 >= this.longest().length) {
        throw new OverloadedError(`${this.waitingTotal} are waiting already`);
      }
    }
  }

  /** @throws OverloadedError when there is no room, or no one waits for the work any more; `work` was not called */
  async run<T>({ owner, isAbandoned }: WorkOrigin, work: () => Promise<T>): Promise<T> {
    await this.takeSlot(owner, isAbandoned);
    try {
      return await work();
    } finally {
      this.passSlotOn();
    }
  }

  private async takeSlot(owner: string, isAbandoned: () => boolean): Promise<void> {
    if (this.running < this.limits.maxRunning) {
      this.running += 1;
      return;
    }
    this.requireRoom(owner);
    if (this.waitingTotal >= this.limits.maxWaiting) {
      this.waitingTotal -= 1;
      this.longest().pop()?.refuse(new OverloadedError('others have waited for less'));
    }
    await new Promise<void>((resolve, reject) => {
      const waiters = this.waiting.get(owner) ?? [];
      waiters.push({ isAbandoned, begin: resolve, refuse: reject });
      this.waiting.set(owner, waiters);
      this.waitingTotal += 1;
    });
  }

  /** There is always one: it is asked for only while some wait. */
  private longest(): Waiter[] {
    return [...this.waiting.values()].reduce((longest, each) => (each.length > longest.length ? each : longest), []);
  }

  /** The slot goes straight to the next in turn, so that a newcomer cannot take it in between. */
  private passSlotOn(): void {
    for (let next = this.takeNext(); next !== undefined; next = this.takeNext()) {
      if (!next.isAbandoned()) {
        next.begin();
        return;
      }
      next.refuse(new OverloadedError('the client has gone'));
    }
    this.running -= 1;
  }

  private takeNext(): Waiter | undefined {
    const [turn] = this.waiting;
    if (turn === undefined) {
      return undefined;
    }
    const [owner, waiters] = turn;
    const next = waiters.shift();
    this.waitingTotal -= 1;
    this.waiting.delete(owner);
    if (waiters.length > 0) {
      this.waiting.set(owner, waiters);
    }
    return next;
  }
}
