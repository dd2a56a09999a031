/** Longer than any access token may live (3600 s), by what a clock may be behind, and then some. */
const WINDOW_MS = 3_720_000;

/** The sessions that have ended within the life of an access token; older ones are forgotten. */
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
   * What is known already keeps its time: being told again does not make a token live longer.
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
