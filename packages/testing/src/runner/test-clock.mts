import { setTimeout as pause } from 'node:timers/promises';
import type { Clock, DatabaseClock, DatabaseService, RevokedSessionsService } from '@ratchet/server/internal';
import type { ClockAnswer } from '../contract.js';

/** Instances LISTEN on this channel; a notification starts the next poll. */
const WAKE_POLL = `select pg_notify('ratchet_revocations', '')`;

const POLL_CHECK_MS = 2;

/**
 * The clock of one namespace, in its database and in its process alike. It runs beside the real one, ahead of it or behind
 * it, or stands still. Time-outs and intervals stay real: they are on the monotonic clock.
 */
export class TestClock {
  private aheadMs = 0;
  private frozenAtMs: number | undefined;

  constructor(
    private readonly database: DatabaseService,
    private readonly revoked: RevokedSessionsService,
    clock: Clock,
    databaseClock: DatabaseClock,
  ) {
    clock.now = () => this.now();
    // Between two polls the service carries the database's time on, which must stand still as well.
    const nowSeconds = databaseClock.nowSeconds.bind(databaseClock);
    databaseClock.nowSeconds = () => (this.frozenAtMs === undefined ? nowSeconds() : this.frozenAtMs / 1_000);
  }

  get isReal(): boolean {
    return this.aheadMs === 0 && this.frozenAtMs === undefined;
  }

  now(): Date {
    return new Date(this.frozenAtMs ?? Date.now() + this.aheadMs);
  }

  read(): ClockAnswer {
    return { now: this.now().toISOString(), frozen: this.frozenAtMs !== undefined };
  }

  /** Resolves when the service judges by the new time. */
  async set(at: Date, isFrozen: boolean): Promise<void> {
    await this.apply(at.getTime() - Date.now(), isFrozen ? at.getTime() : undefined);
  }

  async reset(): Promise<void> {
    if (!this.isReal) {
      await this.apply(0, undefined);
    }
  }

  private async apply(aheadMs: number, frozenAtMs: number | undefined): Promise<void> {
    await this.database.query(
      'update ratchet_test.clock set ahead = make_interval(secs => $1::float8 / 1000), frozen_at = $2',
      [aheadMs, frozenAtMs === undefined ? null : new Date(frozenAtMs).toISOString()],
    );
    this.aheadMs = aheadMs;
    this.frozenAtMs = frozenAtMs;
    await this.polled();
  }

  /** Waits for a poll that began after the change: one that was under way would tell the service the time of before. */
  private async polled(): Promise<void> {
    const changedAtMs = performance.now();
    await this.database.query(WAKE_POLL);
    while (this.revoked.ageSeconds() * 1_000 >= performance.now() - changedAtMs) {
      await pause(POLL_CHECK_MS);
    }
  }
}
