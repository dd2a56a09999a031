// Which sessions have ended: follows GET /auth/revocations. No dependencies, Node 20 or later. One per process.
//
// A session that has ended is refused within a second of its end. When the news is older than `maxStalenessSeconds`,
// nothing is accepted until it is current again.

/** No access token lives longer than an hour; two minutes more for clocks. */
const KEPT_MS = 3_720_000;

const LONGEST_ANSWER_MS = 10_000;
const SHORTEST_ROUND_MS = 300;
const LONGEST_PAUSE_MS = 2_000;

/** Answer 401. */
export class SessionEndedError extends Error {}

/** Answer 503, and never 401: clients sign out on that. */
export class NewsTooOldError extends Error {}

export class EndedSessions {
  #toldAt = new Map(); // in the order of their times
  #currentAsOf = -Infinity; // every session that ended before is known
  #stopped = new AbortController();

  /** @param baseUrl where this backend reaches Ratchet */
  constructor(baseUrl, { maxStalenessSeconds = 10 } = {}) {
    this.maxStalenessMs = 1_000 * maxStalenessSeconds;
    void this.#follow(`${baseUrl}/auth/revocations`);
  }

  /** @throws {SessionEndedError | NewsTooOldError} unless the session is known to be live */
  check(sessionId) {
    if (this.#toldAt.has(sessionId)) {
      throw new SessionEndedError('the session has ended');
    }
    if (performance.now() - this.#currentAsOf > this.maxStalenessMs) {
      throw new NewsTooOldError('the news of ended sessions is too old');
    }
  }

  close() {
    this.#stopped.abort();
  }

  async #follow(url) {
    let cursor;
    for (let pauseMs = 100; !this.#stopped.signal.aborted;) {
      const askedAt = performance.now();
      try {
        const response = await fetch(cursor === undefined ? url : `${url}?after=${encodeURIComponent(cursor)}`, {
          signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(LONGEST_ANSWER_MS)]),
        });
        if (response.status === 400) {
          cursor = undefined; // not one of this service: ask for the whole list
        }
        if (!response.ok) {
          throw new Error(`status ${response.status}`);
        }
        cursor = this.#learn(await response.json(), askedAt);
        pauseMs = 100;
        await sleep(askedAt + SHORTEST_ROUND_MS - performance.now());
      } catch {
        await sleep(pauseMs);
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      }
    }
  }

  #learn({ revoked, cursor, age_seconds: ageSeconds, waited_seconds: waitedSeconds }, askedAt) {
    // The age is subtracted: the news is older than the answer, which left no earlier than it was asked for and waited.
    const currentAsOf = askedAt + 1_000 * (waitedSeconds - ageSeconds);
    const now = performance.now();
    if (typeof cursor !== 'string' || !(currentAsOf <= now)) {
      throw new Error('not an answer of Ratchet');
    }
    for (const sessionId of revoked) {
      if (!this.#toldAt.has(sessionId)) {
        this.#toldAt.set(sessionId, now);
      }
    }
    for (const [sessionId, toldAt] of this.#toldAt) {
      if (now - toldAt <= KEPT_MS) {
        break;
      }
      this.#toldAt.delete(sessionId);
    }
    this.#currentAsOf = Math.max(this.#currentAsOf, currentAsOf);
    return cursor;
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
