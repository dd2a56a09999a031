import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { Config } from '../platform/config/config.js';
import type { Beat } from './heartbeat.js';
import { type LogPage, type LogPosition, type PolledRevocations, RevocationLog } from './revocation-log.js';
import { Signal } from './signal.js';

const LONGEST_WAIT_FOR_POLL_MS = 100;

/**
 * The ids of all sessions that ended within the life of an access token, in memory, so that checking a request costs no
 * query. What this instance revokes is in the set at once; what others revoke arrives by polling.
 */
@Injectable()
export class RevokedSessionsService {
  /** Fires after each completed poll and each heartbeat. */
  readonly polled = new Signal();
  private readonly log = new RevocationLog(randomBytes(6).toString('base64url'), REVOCATION_WINDOW_SECONDS * 1000);
  private readonly maxStalenessMs: number;
  private readonly fenceMs: number;
  private newsListener = (): void => undefined;
  /** Start of the last completed poll: everything committed before it is in `log`. */
  private currentAsOfMs = Number.NEGATIVE_INFINITY;
  /** The last heartbeat that the database has committed. */
  private beat: Beat = { epoch: 'none', startedAtMs: Number.NEGATIVE_INFINITY };

  constructor(
    private readonly clock: Clock,
    config: Config,
  ) {
    this.maxStalenessMs = config.revocation.maxStalenessSeconds * 1000;
    this.fenceMs = config.revocation.fenceSeconds * 1000;
  }

  /** Sets what is called when a session is added that was not known before. */
  onNews(listener: () => void): void {
    this.newsListener = listener;
  }

  /** Call it after the commit and before the answer: from then on this instance refuses the sessions' tokens. */
  announce(sessionIds: Iterable<string>): void {
    this.tellNewsOf(() => {
      this.log.add(sessionIds, this.clock.monotonicMs());
    });
  }

  /** @param startedAtMs when the poll began, on the monotonic clock */
  addPolled(polled: PolledRevocations, startedAtMs: number): void {
    this.tellNewsOf(() => {
      this.log.addPolled(polled, startedAtMs);
    });
    this.currentAsOfMs = startedAtMs;
    this.polled.tell();
  }

  /** Says that the server which polls of the same epoch read may still acknowledge changes. */
  addHeartbeat(beat: Beat): void {
    this.beat = beat;
    this.polled.tell();
  }

  /** Returns the sessions of which this other history does not know that they have ended. */
  lostIn(polled: PolledRevocations): readonly string[] {
    return this.log.lostIn(polled);
  }

  /**
   * Whether the session has ended, as of at most `REVOCATION_MAX_STALENESS_SECONDS` ago. Returns a plain boolean while
   * the set is current (nearly always), to avoid a promise per request.
   *
   * @throws TemporarilyUnavailableError when the set is older than that and no poll completes within 100 ms; no request
   *   runs a query of its own, so an outage does not end in a stampede
   */
  isRevoked(sessionId: string): boolean | Promise<boolean> {
    return this.isCurrent() ? this.log.has(sessionId) : this.isRevokedOncePolled(sessionId);
  }

  /** How many sessions are known to have ended. */
  get size(): number {
    return this.log.size;
  }

  /**
   * Whether the last poll is recent enough, and its server has committed a heartbeat within `FENCE_SECONDS`: a primary
   * that was replaced goes on answering polls, and knows nothing of what its successor acknowledges.
   */
  isCurrent(): boolean {
    const nowMs = this.clock.monotonicMs();
    return nowMs - this.currentAsOfMs <= this.maxStalenessMs && this.isFedByPrimary(nowMs);
  }

  /** How long ago the last completed poll began. */
  ageSeconds(): number {
    return (this.clock.monotonicMs() - this.currentAsOfMs) / 1000;
  }

  /** How long ago the last committed heartbeat was sent. */
  heartbeatAgeSeconds(): number {
    return (this.clock.monotonicMs() - this.beat.startedAtMs) / 1000;
  }

  /** @throws TemporarilyUnavailableError when the set is stale, like `isRevoked` */
  async requireCurrent(): Promise<void> {
    if (!this.isCurrent()) {
      await this.polled.within(LONGEST_WAIT_FOR_POLL_MS);
      if (!this.isCurrent()) {
        throw new TemporarilyUnavailableError(
          `the revocation feed is ${this.ageSeconds().toFixed(1)} s old, the heartbeat of the database ` +
            `${this.heartbeatAgeSeconds().toFixed(1)} s${this.beat.epoch === this.log.epoch ? '' : ' and of another server'}`,
        );
      }
    }
  }

  /** Whether the position comes from an instance that had polled later than this one. */
  isBehind(position: LogPosition): boolean {
    return this.log.isBehind(position);
  }

  /** See `RevocationLog.localise`. */
  localise(position: LogPosition): LogPosition {
    return this.log.localise(position);
  }

  hasNewsAfter(position: LogPosition): boolean {
    return this.log.hasNewsAfter(position);
  }

  /** See `RevocationLog.pageAfter`. */
  pageAfter(position: LogPosition | undefined): LogPage {
    return this.log.pageAfter(position);
  }

  private isFedByPrimary(nowMs: number): boolean {
    return nowMs - this.beat.startedAtMs <= this.fenceMs && this.beat.epoch === this.log.epoch;
  }

  private async isRevokedOncePolled(sessionId: string): Promise<boolean> {
    await this.requireCurrent();
    return this.log.has(sessionId);
  }

  /** A session that is known already wakes no reader, so repeating a logout with an old token costs nothing. */
  private tellNewsOf(change: () => void): void {
    const lastKnown = this.log.end.entry;
    change();
    if (this.log.end.entry !== lastKnown) {
      this.newsListener();
    }
  }
}
