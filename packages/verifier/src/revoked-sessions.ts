import { LONGEST_LIFETIME_SECONDS } from './access-token.format.js';

/** Until the last access token of an ended session has expired, plus two minutes for slow clocks. */
export const WINDOW_MS = (LONGEST_LIFETIME_SECONDS + 120) * 1_000;

/** Holds the sessions that ended within the life of an access token; forgets older ones. */
export class RevokedSessions {
  /** Session id → when to forget it. Entries stand in the order of these times. */
  private readonly forgetAtMs = new Map<string, number>();

  has(sessionId: string): boolean {
    return this.forgetAtMs.has(sessionId);
  }

  get size(): number {
    return this.forgetAtMs.size;
  }

  /**
   * A known id keeps its time: a repetition does not prolong it.
   *
   * @returns how many were not known
   */
  add(sessionIds: readonly string[], nowMs: number): number {
    this.forget(nowMs);
    const knownBefore = this.forgetAtMs.size;
    for (const sessionId of sessionIds) {
      if (!this.forgetAtMs.has(sessionId)) {
        this.forgetAtMs.set(sessionId, nowMs + WINDOW_MS);
      }
    }
    return this.forgetAtMs.size - knownBefore;
  }

  private forget(nowMs: number): void {
    for (const [sessionId, forgetAtMs] of this.forgetAtMs) {
      if (forgetAtMs > nowMs) {
        return;
      }
      this.forgetAtMs.delete(sessionId);
    }
  }
}
