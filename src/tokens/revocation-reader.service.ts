import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { ValidationFailedError } from '../platform/common/domain.errors.js';
import { formatCursor, parseCursor } from './revocation-log.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import type { RevocationPage } from './tokens.types.js';

/** A reader is answered at the first news, or with an empty page after this long. */
export const LONGEST_WAIT_FOR_NEWS_SECONDS = 5;

/** Two polls: an instance that is a little behind the one that issued the cursor catches up within this. */
const LONGEST_WAIT_TO_CATCH_UP_MS = 1_000;

/** While this many wait, the next reader is answered at once, and asks again. */
const MOST_WAITING_READERS = 1_000;

/** Answers verifiers that keep a set of their own, by long polling. */
@Injectable()
export class RevocationReaderService implements OnModuleDestroy {
  private isDraining = false;

  constructor(
    private readonly revoked: RevokedSessionsService,
    private readonly clock: Clock,
  ) {}

  /** Runs before the server stops taking requests: readers that wait for news are answered now. */
  onModuleDestroy(): void {
    this.isDraining = true;
    this.revoked.news.tell();
  }

  /** How many readers wait for news. */
  get waitingCount(): number {
    return this.revoked.news.waitingCount;
  }

  /**
   * Returns the sessions that have ended since the cursor. May repeat some and never omits one, whichever instance
   * issued the cursor. Waits for news if there is none; costs no query.
   *
   * @param cursor of an earlier page; undefined for the whole window, which never waits
   * @param waitSeconds the longest wait for news
   * @param isGone aborts when the client has gone
   * @throws ValidationFailedError when no instance has issued the cursor
   * @throws TemporarilyUnavailableError when the set is stale, like `RevokedSessionsService.isRevoked`
   */
  async readAfter(cursor: string | undefined, waitSeconds: number, isGone?: AbortSignal): Promise<RevocationPage> {
    const askedAtMs = this.clock.monotonicMs();
    const position = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && position === undefined) {
      throw new ValidationFailedError([{ field: 'after', message: 'must be the cursor of an earlier answer' }]);
    }
    if (position !== undefined && this.revoked.isBehind(position) && !this.isDraining) {
      await this.revoked.polled.within(LONGEST_WAIT_TO_CATCH_UP_MS, isGone);
    }
    await this.revoked.requireCurrent();
    if (position !== undefined && this.revoked.after(position).length === 0) {
      await this.waitForNews(Math.min(waitSeconds, LONGEST_WAIT_FOR_NEWS_SECONDS) * 1000, isGone);
      await this.revoked.requireCurrent();
    }
    return {
      sessionIds: this.revoked.after(position),
      cursor: formatCursor(this.revoked.end),
      ageSeconds: this.revoked.ageSeconds(),
      waitedSeconds: (this.clock.monotonicMs() - askedAtMs) / 1000,
    };
  }

  private async waitForNews(atMostMs: number, isGone: AbortSignal | undefined): Promise<void> {
    if (atMostMs > 0 && !this.isDraining && this.waitingCount < MOST_WAITING_READERS) {
      await this.revoked.news.within(atMostMs, isGone);
    }
  }
}
