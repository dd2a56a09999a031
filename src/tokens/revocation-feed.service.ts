import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Client } from 'pg';
import { Clock } from '../common/clock.js';
import { TemporarilyUnavailableError } from '../common/domain.errors.js';
import { messageOf } from '../common/is-error.js';
import { Config } from '../config/config.js';
import { DatabaseAddress } from '../database/database.types.js';
import { REVOCATION_CHANNEL } from './families.repository.js';

/** Longer than any access token may live (3600 s), so a revoked session is forgotten only after its last token. */
const WINDOW_SECONDS = 3_720;

const POLL_INTERVAL_MS = 500;
const QUERY_TIMEOUT_MS = 3_000;
const LONGEST_WAIT_FOR_POLL_MS = 100;
const RECONNECT_PAUSE_MS = 200;

/**
 * Rows revoked since the last poll, by transaction id: a transaction that was still open then has an id at or after that
 * poll's xmin, however early it stamped its rows, so one that commits late is not lost, as it would be behind a
 * timestamp cursor. The next cursor comes from the snapshot that this statement reads with.
 */
const POLL_STATEMENT = `
  select pg_snapshot_xmin(pg_current_snapshot())::text as cursor,
    array(
      select id::text from refresh_token_families
      where revoked_xid >= $1::text::xid8 and revoked_at > now() - make_interval(secs => ${WINDOW_SECONDS})
    ) as ids`;

const WHOLE_WINDOW_CURSOR = '0';

/**
 * The ids of all sessions that ended within the life of an access token, in memory, so that checking a request costs no
 * query. What this instance revokes it knows at once; what others revoke arrives by polling, which NOTIFY only hurries:
 * a pooler that breaks LISTEN breaks nothing.
 */
@Injectable()
export class RevocationFeed implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(RevocationFeed.name);
  /** Session id → monotonic instant after which no access token of it can still be valid. */
  private readonly revoked = new Map<string, number>();
  private readonly maxStalenessMs: number;
  /** Start of the last completed poll: everything committed before it is in `revoked`. */
  private currentAsOfMs = Number.NEGATIVE_INFINITY;
  private cursor = WHOLE_WINDOW_CURSOR;
  private nextPoll = deferred();
  private wakeUp = deferred();
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly address: DatabaseAddress,
    private readonly clock: Clock,
    config: Config,
  ) {
    this.maxStalenessMs = config.revocation.maxStalenessSeconds * 1000;
  }

  /** Resolves when the whole window is loaded: no request is answered from an empty set. */
  async onModuleInit(): Promise<void> {
    const firstPoll = this.nextPoll.promise;
    this.running = this.follow();
    await firstPoll;
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.wakeUp.resolve();
    await this.running;
  }

  /** To be called after the commit and before the answer: this instance then refuses the session's tokens at once. */
  add(sessionIds: Iterable<string>): void {
    const forgetAtMs = this.clock.monotonicMs() + WINDOW_SECONDS * 1000;
    for (const id of sessionIds) {
      if (!this.revoked.has(id)) {
        this.revoked.set(id, forgetAtMs);
      }
    }
  }

  /**
   * Whether the session has ended, as of at most `REVOCATION_MAX_STALENESS_SECONDS` ago.
   *
   * @throws TemporarilyUnavailableError when the feed is older than that and no poll completes within 100 ms; no request
   *   runs a query of its own, so an outage does not end in a stampede
   */
  async isRevoked(sessionId: string): Promise<boolean> {
    if (!this.isCurrent()) {
      await Promise.race([this.nextPoll.promise, waitUnreferenced(LONGEST_WAIT_FOR_POLL_MS)]);
      if (!this.isCurrent()) {
        throw new TemporarilyUnavailableError(`the revocation feed is ${this.ageSeconds().toFixed(1)} s old`);
      }
    }
    return this.revoked.has(sessionId);
  }

  isCurrent(): boolean {
    return this.clock.monotonicMs() - this.currentAsOfMs <= this.maxStalenessMs;
  }

  /** How long ago the last completed poll began. */
  ageSeconds(): number {
    return (this.clock.monotonicMs() - this.currentAsOfMs) / 1000;
  }

  private async follow(): Promise<void> {
    let isFailing = false;
    while (this.isRunning()) {
      const client = new Client({
        connectionString: this.address.directUrl,
        application_name: 'ratchet revocations',
        connectionTimeoutMillis: QUERY_TIMEOUT_MS,
        query_timeout: QUERY_TIMEOUT_MS,
        keepAlive: true,
      });
      // Wake the loop up, so that it finds the connection gone now and not at the next poll.
      client.on('error', () => {
        this.wakeUp.resolve();
      });
      client.on('notification', () => {
        this.wakeUp.resolve();
      });
      try {
        await client.connect();
        await this.listen(client);
        // What happened while nobody listened is found by reading the whole window again.
        this.cursor = WHOLE_WINDOW_CURSOR;
        while (this.isRunning()) {
          await this.poll(client);
          if (isFailing) {
            isFailing = false;
            this.logger.log({ event: 'revocation_feed_restored', msg: 'revocations are being followed again' });
          }
          await Promise.race([this.wakeUp.promise, waitUnreferenced(POLL_INTERVAL_MS)]);
          this.wakeUp = deferred();
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
      await client.end().catch(() => undefined);
      if (this.isRunning()) {
        await waitUnreferenced(RECONNECT_PAUSE_MS);
      }
    }
  }

  /** A method, because the compiler takes the field for unchanged across an await. */
  private isRunning(): boolean {
    return !this.isStopping;
  }

  private async listen(client: Client): Promise<void> {
    try {
      await client.query(`listen ${REVOCATION_CHANNEL}`);
    } catch (error) {
      this.logger.warn({ event: 'listen_refused', msg: 'no LISTEN here; polling alone', reason: messageOf(error) });
    }
  }

  private async poll(client: Client): Promise<void> {
    const startedAtMs = this.clock.monotonicMs();
    const { rows } = await client.query<{ cursor: string; ids: string[] }>(POLL_STATEMENT, [this.cursor]);
    const [row] = rows;
    if (row === undefined) {
      throw new Error('the poll returned no row');
    }
    this.add(row.ids);
    this.forgetOld(startedAtMs);
    this.cursor = row.cursor;
    this.currentAsOfMs = startedAtMs;
    this.nextPoll.resolve();
    this.nextPoll = deferred();
  }

  /** Entries stand in the order in which they were added, so the first that is young enough ends the search. */
  private forgetOld(nowMs: number): void {
    for (const [id, forgetAtMs] of this.revoked) {
      if (forgetAtMs > nowMs) {
        return;
      }
      this.revoked.delete(id);
    }
  }
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function deferred(): Deferred {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A pause that does not keep a process alive which has nothing else to do. */
function waitUnreferenced(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
