import type { EventSink } from './events.js';
import { backoffMs, getJson, reasonOf } from './json-source.js';
import { RevokedSessions, WINDOW_MS } from './revoked-sessions.js';
import type { Runtime } from './runtime.js';

/** The service holds an answer back no longer than this. */
const LONGEST_WAIT_SECONDS = 5;

/** Added to the time for which the answer is held back. */
const ANSWER_TIMEOUT_MS = 2_000;

/** The pages that are read at the start can be long. */
const FIRST_PAGE_TIMEOUT_MS = 10_000;

/** A page has 2,000 sessions at most, of 39 bytes each; services of before sent the whole list in one. */
const LONGEST_PAGE_BYTES = 16 * 2 ** 20;

/** Separates two questions after news, so that one answer carries several ends. */
const PAUSE_AFTER_NEWS_MS = 100;

/**
 * The same after an answer without news. An instance repeats what another has told already until its own next poll of
 * the database. One that is stopping, or has too many readers, holds no answer back.
 */
const PAUSE_WITHOUT_NEWS_MS = 300;

const LONGEST_BACKOFF_MS = 2_000;

/**
 * Keeps the set of ended sessions current by long polling: asks for what has ended since the last answer, and the
 * service holds the answer back until something has. Any instance may answer any question.
 */
export class RevocationFollower {
  private readonly revoked = new RevokedSessions();
  private cursor: string | undefined;
  /** Every session that ended before this time is in the set. */
  private currentAsOfMs = Number.NEGATIVE_INFINITY;
  private hasWholeWindow = false;

  /**
   * @param url without a query
   * @param maxStalenessSeconds half of it is kept in reserve for a lost answer
   */
  constructor(
    private readonly url: string,
    private readonly maxStalenessSeconds: number,
    private readonly runtime: Runtime,
    private readonly tell: EventSink,
  ) {}

  /** Resolves when closed. */
  async follow(closing: AbortSignal): Promise<void> {
    for (let failures = 0; !closing.aborted;) {
      const askedAtMs = this.runtime.monotonicMs();
      try {
        const news = await this.ask(askedAtMs, failures === 0 ? this.waitSeconds() : 0, closing);
        if (failures > 0) {
          this.tell({ event: 'revocations_restored' });
        }
        failures = 0;
        if (this.hasWholeWindow) {
          const untilNextMs = askedAtMs + (news > 0 ? PAUSE_AFTER_NEWS_MS : PAUSE_WITHOUT_NEWS_MS);
          await this.runtime.pause(Math.max(0, untilNextMs - this.runtime.monotonicMs()), closing);
        }
      } catch (error) {
        failures += 1;
        if (failures === 1) {
          this.tellLost(error, closing);
        }
        await this.runtime.pause(backoffMs(failures, LONGEST_BACKOFF_MS, this.runtime.random()), closing);
      }
    }
  }

  /** Whether the session is known to have ended. */
  isRevoked(sessionId: string): boolean {
    return this.revoked.has(sessionId);
  }

  /** Whether the last page of the window has been read: a page that others follow counts as older than the window. */
  isLoaded(): boolean {
    return this.hasWholeWindow;
  }

  isStale(): boolean {
    return this.ageSeconds() > this.maxStalenessSeconds;
  }

  /** Every session that ended longer ago than this is known. */
  ageSeconds(): number {
    return (this.runtime.monotonicMs() - this.currentAsOfMs) / 1000;
  }

  get size(): number {
    return this.revoked.size;
  }

  private tellLost(error: unknown, closing: AbortSignal): void {
    if (!closing.aborted) {
      this.tell({ event: 'revocations_lost', reason: reasonOf(error) });
    }
  }

  private waitSeconds(): number {
    return Math.min(LONGEST_WAIT_SECONDS, Math.floor(this.maxStalenessSeconds / 2));
  }

  /** @returns how many of the ended sessions were not known before */
  private async ask(askedAtMs: number, waitSeconds: number, closing: AbortSignal): Promise<number> {
    const { cursor } = this;
    const query = cursor === undefined ? '' : `?after=${encodeURIComponent(cursor)}&wait=${waitSeconds}`;
    const { status, body } = await getJson(this.runtime, `${this.url}${query}`, {
      timeoutMs: cursor === undefined ? FIRST_PAGE_TIMEOUT_MS : waitSeconds * 1000 + ANSWER_TIMEOUT_MS,
      mostBytes: LONGEST_PAGE_BYTES,
      closing,
    });
    if (status === 400) {
      // The service no longer reads this cursor: start again with the whole window, and forget nothing.
      this.cursor = undefined;
    }
    if (status !== 200) {
      throw new Error(`${this.url} answered ${status}`);
    }
    const page = readPage(body);
    const news = this.revoked.add(page.revoked, askedAtMs);
    this.cursor = page.cursor;
    this.hasWholeWindow ||= page.ageSeconds * 1000 < WINDOW_MS;
    this.currentAsOfMs = Math.max(this.currentAsOfMs, this.asOfMs(page, askedAtMs));
    return news;
  }

  /**
   * Returns the time before which every end is known. The answer left the service `waitedSeconds` after the question
   * arrived there, and it arrived no earlier than it was sent. The network's share is unknown and counts as the way
   * back.
   */
  private asOfMs({ ageSeconds, waitedSeconds }: Page, askedAtMs: number): number {
    const elapsedMs = this.runtime.monotonicMs() - askedAtMs;
    return askedAtMs + Math.min(elapsedMs, waitedSeconds * 1000) - ageSeconds * 1000;
  }
}

interface Page {
  readonly revoked: readonly string[];
  readonly cursor: string;
  readonly ageSeconds: number;
  readonly waitedSeconds: number;
}

/** @throws Error for anything except the documented shape */
function readPage(body: unknown): Page {
  const { revoked, cursor, age_seconds, waited_seconds = 0 } = (body ?? {}) as Readonly<Record<string, unknown>>;
  if (!isTexts(revoked) || typeof cursor !== 'string' || !isDuration(age_seconds) || !isDuration(waited_seconds)) {
    throw new Error('not a page of revocations');
  }
  return { revoked, cursor, ageSeconds: age_seconds, waitedSeconds: waited_seconds };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === 'string');
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}
