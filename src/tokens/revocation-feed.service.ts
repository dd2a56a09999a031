import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { TemporarilyUnavailableError, ValidationFailedError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/is-error.js';
import { Config } from '../platform/config/config.js';
import { DatabaseAddress, SessionSupport } from '../platform/database/database.types.js';
import { formatCursor, parseCursor } from './revocation-cursor.js';
import { REVOCATION_WINDOW_SECONDS, RevocationFollower } from './revocation-follower.repository.js';
import { RevocationLog } from './revocation-log.js';
import { Signal } from './signal.js';
import type { RevocationPage } from './tokens.types.js';

const POLL_INTERVAL_MS = 500;

/** Where no notification hurries the polls. */
const POLL_INTERVAL_WITHOUT_LISTEN_MS = 250;

/** Polls that notifications hurry begin at least so far apart: a thousand logouts a second are not a thousand polls. */
const SHORTEST_POLL_INTERVAL_MS = 20;

const LONGEST_WAIT_FOR_POLL_MS = 100;
const RECONNECT_PAUSE_MS = 200;

/** A reader's question is answered at the first news, or empty after that long at the latest. */
export const LONGEST_WAIT_FOR_NEWS_SECONDS = 5;

/** Beyond that many at a time the next reader is answered at once, and comes again. */
const MOST_WAITING_READERS = 1_000;

/**
 * The ids of all sessions that ended within the life of an access token, in memory, so that checking a request costs no
 * query. What this instance revokes it knows at once; what others revoke arrives by polling, which NOTIFY only hurries:
 * a pooler that breaks LISTEN breaks nothing.
 */
@Injectable()
export class RevocationFeedService implements OnModuleInit, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger = new Logger(RevocationFeedService.name);
  private readonly log = new RevocationLog(randomBytes(6).toString('base64url'), REVOCATION_WINDOW_SECONDS * 1000);
  private readonly maxStalenessMs: number;
  /** Start of the last completed poll: everything committed before it is in `log`. */
  private currentAsOfMs = Number.NEGATIVE_INFINITY;
  private readonly polled = new Signal();
  private readonly news = new Signal();
  private readonly wakeUp = new Signal();
  private isWoken = false;
  private isDraining = false;
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly address: DatabaseAddress,
    private readonly sessions: SessionSupport,
    private readonly clock: Clock,
    config: Config,
  ) {
    this.maxStalenessMs = config.revocation.maxStalenessSeconds * 1000;
  }

  /** Resolves when the whole window is loaded: no request is answered from an empty set. */
  async onModuleInit(): Promise<void> {
    this.running = this.follow();
    while (this.currentAsOfMs === Number.NEGATIVE_INFINITY) {
      await this.polled.within(POLL_INTERVAL_MS);
    }
  }

  /** Before the server stops taking requests: those that wait for news are answered now. */
  onModuleDestroy(): void {
    this.isDraining = true;
    this.news.tell();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.wake();
    await this.running;
  }

  /** To be called after the commit and before the answer: from then on this instance refuses the sessions' tokens. */
  announce(sessionIds: Iterable<string>): void {
    this.tellNewsOf(() => {
      this.log.add(sessionIds, this.clock.monotonicMs());
    });
  }

  /**
   * Whether the session has ended, as of at most `REVOCATION_MAX_STALENESS_SECONDS` ago. No promise while the feed is
   * current, which it almost always is: the question is asked with every request.
   *
   * @throws TemporarilyUnavailableError when the feed is older than that and no poll completes within 100 ms; no request
   *   runs a query of its own, so an outage does not end in a stampede
   */
  isRevoked(sessionId: string): boolean | Promise<boolean> {
    return this.isCurrent() ? this.log.has(sessionId) : this.isRevokedOncePolled(sessionId);
  }

  /**
   * For verifiers elsewhere, who keep a set of their own: the sessions that have ended since the cursor, some of them
   * perhaps a second time, and none left out, whichever instance the cursor comes from. Waits for news when there are
   * none; costs no query.
   *
   * @param cursor of an earlier page; undefined for the whole window, which is never waited for
   * @param waitSeconds how long to wait for news at most
   * @param isGone aborts when nobody waits for the answer any more
   * @throws ValidationFailedError when no instance has issued the cursor
   * @throws TemporarilyUnavailableError as `isRevoked`
   */
  async readAfter(cursor: string | undefined, waitSeconds: number, isGone?: AbortSignal): Promise<RevocationPage> {
    const askedAtMs = this.clock.monotonicMs();
    const position = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && position === undefined) {
      throw new ValidationFailedError([{ field: 'after', message: 'must be the cursor of an earlier answer' }]);
    }
    if (position !== undefined && this.log.isBehind(position) && !this.isDraining) {
      await this.polled.within(2 * POLL_INTERVAL_MS, isGone);
    }
    await this.requireCurrent();
    if (position !== undefined && this.log.after(position).length === 0) {
      await this.waitForNews(Math.min(waitSeconds, LONGEST_WAIT_FOR_NEWS_SECONDS) * 1000, isGone);
      await this.requireCurrent();
    }
    return {
      sessionIds: this.log.after(position),
      cursor: formatCursor(this.log.end),
      ageSeconds: this.ageSeconds(),
      waitedSeconds: (this.clock.monotonicMs() - askedAtMs) / 1000,
    };
  }

  /** How many questions wait for news. */
  get waitingReaderCount(): number {
    return this.news.waitingCount;
  }

  /** How many sessions are known to have ended. */
  get size(): number {
    return this.log.size;
  }

  isCurrent(): boolean {
    return this.clock.monotonicMs() - this.currentAsOfMs <= this.maxStalenessMs;
  }

  /** How long ago the last completed poll began. */
  ageSeconds(): number {
    return (this.clock.monotonicMs() - this.currentAsOfMs) / 1000;
  }

  private async isRevokedOncePolled(sessionId: string): Promise<boolean> {
    await this.requireCurrent();
    return this.log.has(sessionId);
  }

  private async requireCurrent(): Promise<void> {
    if (!this.isCurrent()) {
      await this.polled.within(LONGEST_WAIT_FOR_POLL_MS);
      if (!this.isCurrent()) {
        throw new TemporarilyUnavailableError(`the revocation feed is ${this.ageSeconds().toFixed(1)} s old`);
      }
    }
  }

  private async waitForNews(atMostMs: number, isGone: AbortSignal | undefined): Promise<void> {
    if (atMostMs > 0 && !this.isDraining && this.news.waitingCount < MOST_WAITING_READERS) {
      await this.news.within(atMostMs, isGone);
    }
  }

  /** Nobody is woken by what is known already: repeating a logout is free to anyone who holds an old token. */
  private tellNewsOf(change: () => void): void {
    const lastKnown = this.log.end.entry;
    change();
    if (this.log.end.entry !== lastKnown) {
      this.news.tell();
    }
  }

  private wake(): void {
    this.isWoken = true;
    this.wakeUp.tell();
  }

  private async follow(): Promise<void> {
    let isFailing = false;
    while (this.isRunning()) {
      let follower: RevocationFollower | undefined;
      try {
        follower = await this.connect();
        while (this.isRunning()) {
          const startedAtMs = this.clock.monotonicMs();
          this.isWoken = false;
          await this.poll(follower, startedAtMs);
          if (isFailing) {
            isFailing = false;
            this.logger.log({ event: 'revocation_feed_restored', msg: 'revocations are being followed again' });
          }
          const intervalMs = follower.isListening ? POLL_INTERVAL_MS : POLL_INTERVAL_WITHOUT_LISTEN_MS;
          await this.untilNextPoll(intervalMs, startedAtMs, this.clock.monotonicMs() - startedAtMs);
        }
      } catch (error) {
        if (!isFailing) {
          isFailing = true;
          this.logger.warn({
            event: 'revocation_feed_lost',
            msg: 'revocations cannot be followed; retrying',
            reason: messageOf(error),
          });
        }
      }
      await follower?.close();
      if (this.isRunning()) {
        await pause(RECONNECT_PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  /** A method, because the compiler takes the field for unchanged across an await. */
  private isRunning(): boolean {
    return !this.isStopping;
  }

  private async connect(): Promise<RevocationFollower> {
    const follower = await RevocationFollower.connect({
      url: this.address.directUrl,
      canListen: this.sessions.isKeptDirectly,
      // Also when the connection is gone, so that the loop finds out now and not at the next poll.
      onWakeUp: () => {
        this.wake();
      },
    });
    if (follower.listenRefusal !== undefined) {
      this.logger.warn({
        event: 'listen_refused',
        msg: 'no LISTEN here; polling alone',
        reason: follower.listenRefusal.message,
      });
    }
    return follower;
  }

  private async poll(follower: RevocationFollower, startedAtMs: number): Promise<void> {
    const polled = await follower.poll();
    this.tellNewsOf(() => {
      this.log.addPolled(polled, startedAtMs);
    });
    this.currentAsOfMs = startedAtMs;
    this.polled.tell();
  }

  /**
   * Polls begin at regular intervals, so that a slow one does not make the news older than need be. Notifications hurry
   * the next one, but leave a pause as long as the last poll took.
   */
  private async untilNextPoll(intervalMs: number, startedAtMs: number, tookMs: number): Promise<void> {
    const latestMs = startedAtMs + intervalMs;
    const earliestMs = Math.min(startedAtMs + Math.max(SHORTEST_POLL_INTERVAL_MS, 2 * tookMs), latestMs);
    if (!this.isWoken) {
      await this.wakeUp.within(Math.max(0, latestMs - this.clock.monotonicMs()));
    }
    const tooEarlyByMs = earliestMs - this.clock.monotonicMs();
    if (tooEarlyByMs > 0 && this.isRunning()) {
      await pause(tooEarlyByMs, undefined, { ref: false });
    }
  }
}
