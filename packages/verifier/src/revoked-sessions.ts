/** The longest life of an access token (3600 s) and two minutes, which covers clocks that are behind. */
const WINDOW_MS = 3_720_000;

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
