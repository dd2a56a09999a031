import type { Clock } from '../common/clock.js';

const QUIET_MS = 60_000;

/** Kinds have a bounded number of names; should one not, the log is flooded rather than the memory. */
const MOST_KINDS = 1_000;

/** Decides which of many alike events are worth a line in the log, so that an outage does not write one per request. */
export class OnceAMinute {
  private readonly told = new Map<string, { readonly atMs: number; untold: number }>();

  constructor(private readonly clock: Clock) {}

  /**
   * @param kind events of one kind are told once a minute
   * @returns how many events of the kind were left out before this one; undefined when it is to be left out itself
   */
  tell(kind: string): number | undefined {
    const nowMs = this.clock.monotonicMs();
    const last = this.told.get(kind);
    if (last !== undefined && nowMs - last.atMs < QUIET_MS) {
      last.untold += 1;
      return undefined;
    }
    if (this.told.size >= MOST_KINDS) {
      this.told.clear();
    }
    this.told.set(kind, { atMs: nowMs, untold: 0 });
    return last?.untold ?? 0;
  }
}
