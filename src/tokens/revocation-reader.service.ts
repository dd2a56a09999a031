import { setImmediate, setTimeout } from 'node:timers/promises';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { OverloadedError, ValidationFailedError } from '../platform/common/domain.errors.js';
import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { formatCursor, parseCursor } from './revocation-log.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import { Signal } from './signal.js';
import type { RevocationPage } from './tokens.types.js';

/** A reader is answered at the first news, or with an empty page after this long. */
export const LONGEST_WAIT_FOR_NEWS_SECONDS = 5;

/** Two polls: an instance that is a little behind the one that issued the cursor catches up within this. */
const LONGEST_WAIT_TO_CATCH_UP_MS = 1_000;

/** While this many wait, the next reader is answered at once, and asks again. */
const MOST_WAITING_READERS = 1_000;

/** Readers that wait are answered in groups of this size, so that other requests are served in between. */
const WAKE_GROUP_SIZE = 20;

/** After that many readers were answered, none is for so long: answering them takes a part of the process at most. */
const REST_MS_PER_READER = 0.25;

/** An answer of this size is a long one: it can take time until the client has received it. */
const LONG_ANSWER_BYTES = 64 * 1024;

/** How many long answers may be on their way at a time. */
const MOST_LONG_ANSWERS = 64;

/** Answers verifiers that keep a set of their own, by long polling. */
@Injectable()
export class RevocationReaderService implements OnModuleInit, OnModuleDestroy {
  private readonly news = new Signal();
  private isDraining = false;
  private isWaking = false;
  private hasNews = false;
  private longAnswers = 0;

  constructor(
    private readonly revoked: RevokedSessionsService,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.revoked.onNews(() => {
      this.hasNews = this.waitingCount > 0;
      if (this.hasNews && !this.isWaking) {
        void this.wakeReaders();
      }
    });
  }

  /** Runs before the server stops taking requests: readers that wait for news are answered now. */
  onModuleDestroy(): void {
    this.isDraining = true;
    this.news.tell();
  }

  /** How many readers wait for news. */
  get waitingCount(): number {
    return this.news.waitingCount;
  }

  /**
   * Counts a long answer that is about to be sent. A client that does not take what it asked for would otherwise keep it
   * in memory, for each request anew.
   *
   * @param bytes of the answer
   * @returns call it when the answer has been received or given up
   * @throws OverloadedError
   */
  beginAnswer(bytes: number): () => void {
    if (bytes < LONG_ANSWER_BYTES) {
      return () => undefined;
    }
    if (this.longAnswers >= MOST_LONG_ANSWERS) {
      throw new OverloadedError(`${this.longAnswers} long lists of revocations are being sent`);
    }
    this.longAnswers += 1;
    return () => {
      this.longAnswers -= 1;
    };
  }

  /**
   * Returns the sessions that have ended since the cursor. May repeat some and never omits one, whichever instance
   * issued the cursor. Waits for news if there is none; costs no query.
   *
   * @param cursor of an earlier page; undefined for the beginning of the window, which never waits
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
    // From here on, readers that have read everything share a position, and with it the answer.
    const local = position === undefined ? undefined : this.revoked.localise(position);
    if (local !== undefined && (this.isWaking || !this.revoked.hasNewsAfter(local))) {
      // If there is news already, the readers before this one are still being answered.
      this.hasNews ||= this.revoked.hasNewsAfter(local);
      await this.waitForNews(Math.min(waitSeconds, LONGEST_WAIT_FOR_NEWS_SECONDS) * 1000, isGone);
      await this.revoked.requireCurrent();
    }
    const { sessionIds, end, isLast } = this.revoked.pageAfter(local);
    return {
      sessionIds,
      cursor: formatCursor(end),
      ageSeconds: this.revoked.ageSeconds() + (isLast ? 0 : REVOCATION_WINDOW_SECONDS),
      waitedSeconds: (this.clock.monotonicMs() - askedAtMs) / 1000,
    };
  }

  /** Answers waiting readers in groups; news that comes meanwhile is told after a rest. */
  private async wakeReaders(): Promise<void> {
    this.isWaking = true;
    while (this.hasNews && !this.isDraining) {
      this.hasNews = false;
      const readerCount = this.waitingCount;
      for (let left = readerCount; left > 0; left -= WAKE_GROUP_SIZE) {
        this.news.tell(Math.min(left, WAKE_GROUP_SIZE));
        await setImmediate();
      }
      const restMs = Math.floor(readerCount * REST_MS_PER_READER);
      if (restMs > 0) {
        await setTimeout(restMs, undefined, { ref: false });
      }
    }
    this.isWaking = false;
  }

  private async waitForNews(atMostMs: number, isGone: AbortSignal | undefined): Promise<void> {
    if (atMostMs > 0 && !this.isDraining && this.waitingCount < MOST_WAITING_READERS) {
      await this.news.within(atMostMs, isGone);
    }
  }
}
