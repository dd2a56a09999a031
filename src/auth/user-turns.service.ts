import { Injectable } from '@nestjs/common';

/** A user's row has one lock: more would only wait for it, each with a connection of the pool. */
const MOST_PER_USER = 2;

interface Turns {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * Bounds how much of the pool the requests about one user can hold: everything that locks the user's row takes a turn
 * first. Without it, one client that repeats such a request would take all connections while they wait for each other.
 */
@Injectable()
export class UserTurnsService {
  private readonly byUser = new Map<string, Turns>();
  private readonly notBegun = new Map<string, Promise<void>>();

  /** Runs the work when fewer than two pieces of work of this user are running, in the order of the calls. */
  async run<T>(userId: string, work: () => Promise<T>): Promise<T> {
    const turns = this.byUser.get(userId) ?? { running: 0, waiting: [] };
    this.byUser.set(userId, turns);
    if (turns.running < MOST_PER_USER) {
      turns.running += 1;
    } else {
      await new Promise<void>((resolve) => turns.waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = turns.waiting.shift();
      if (next !== undefined) {
        next();
      } else if ((turns.running -= 1) === 0) {
        this.byUser.delete(userId);
      }
    }
  }

  /**
   * Does the same for calls that all want one thing: they share a run that has not begun when they are made, and never
   * one that has, which may have missed what happened before them.
   *
   * @param key what they want, for whom
   */
  share(key: string, userId: string, work: () => Promise<void>): Promise<void> {
    const shared = this.notBegun.get(key);
    if (shared !== undefined) {
      return shared;
    }
    const run = this.run(userId, async () => {
      // Calls of the same instant share the run.
      await Promise.resolve();
      this.notBegun.delete(key);
      await work();
    });
    this.notBegun.set(key, run);
    return run;
  }
}
