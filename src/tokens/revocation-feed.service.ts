import { createHash, randomBytes } from 'node:crypto';
import {
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { Client } from 'pg';
import { Clock } from '../common/clock.js';
import { TemporarilyUnavailableError, ValidationFailedError } from '../common/domain.errors.js';
import { messageOf } from '../common/is-error.js';
import { Config } from '../config/config.js';
import { DatabaseAddress } from '../database/database.types.js';
import { REVOCATION_CHANNEL } from './revocation-channel.js';
import { formatCursor, parseCursor } from './revocation-cursor.js';
import { RevocationLog } from './revocation-log.js';
import type { RevocationPage } from './tokens.types.js';

/** Longer than any access token may live (3600 s), so a revoked session is forgotten only after its last token. */
const WINDOW_SECONDS = 3_720;

const POLL_INTERVAL_MS = 500;
const QUERY_TIMEOUT_MS = 3_000;
const LONGEST_WAIT_FOR_POLL_MS = 100;
const RECONNECT_PAUSE_MS = 200;

/** A follower's question is answered at the first news, or empty after that long at the latest. */
export const LONGEST_WAIT_FOR_NEWS_SECONDS = 5;

/** Beyond that many at a time the next follower is answered at once, and comes again. */
const MOST_WAITING_FOLLOWERS = 1_000;

/**
 * Rows revoked since the last poll, by transaction id: a transaction that was still open then has an id at or after that
 * poll's xmin, however early it stamped its rows, so one that commits late is not lost, as it would be behind a
 * timestamp cursor. The next cursor comes from the snapshot that this statement reads with.
 */
const POLL_STATEMENT = `
  select pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
    coalesce(array_agg(id::text), '{}') as ids, coalesce(array_agg(revoked_xid::text), '{}') as xids
  from refresh_token_families
  where revoked_xid >= $1::text::xid8 and revoked_at > now() - make_interval(secs => ${WINDOW_SECONDS})`;

/** Which server this is, and how often its history has branched off (by a promotion or a recovery in the past). */
const HISTORY_STATEMENT = `
  select system_identifier::text || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as history
  from pg_control_system()`;

const BEFORE_ALL_XIDS = '0';

/**
 * The ids of all sessions that ended within the life of an access token, in memory, so that checking a request costs no
 * query. What this instance revokes it knows at once; what others revoke arrives by polling, which NOTIFY only hurries:
 * a pooler that breaks LISTEN breaks nothing.
 */
@Injectable()
export class RevocationFeed implements OnModuleInit, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger = new Logger(RevocationFeed.name);
  private readonly log = new RevocationLog(randomBytes(6).toString('base64url'), WINDOW_SECONDS * 1000);
  private readonly maxStalenessMs: number;
  /** Start of the last completed poll: everything committed before it is in `log`. */
  private currentAsOfMs = Number.NEGATIVE_INFINITY;
  private readFromXid = BEFORE_ALL_XIDS;
  private epoch = '';
  private nextPoll = deferred();
  private news = deferred();
  private waitingFollowers = 0;
  private wakeUp = deferred();
  private isDraining = false;
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

  /** Before the server stops taking requests: those that wait for news are answered now. */
  onModuleDestroy(): void {
    this.isDraining = true;
    this.tellNews();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.wakeUp.resolve();
    await this.running;
  }

  /** To be called after the commit and before the answer: this instance then refuses the session's tokens at once. */
  add(sessionIds: Iterable<string>): void {
    const lastKnown = this.log.end.entry;
    this.log.add(sessionIds, this.clock.monotonicMs());
    // A login announces the sessions it has evicted, which are none most of the time.
    if (this.log.end.entry !== lastKnown) {
      this.tellNews();
    }
  }

  /**
   * Whether the session has ended, as of at most `REVOCATION_MAX_STALENESS_SECONDS` ago.
   *
   * @throws TemporarilyUnavailableError when the feed is older than that and no poll completes within 100 ms; no request
   *   runs a query of its own, so an outage does not end in a stampede
   */
  async isRevoked(sessionId: string): Promise<boolean> {
    await this.requireCurrent();
    return this.log.has(sessionId);
  }

  /**
   * For verifiers elsewhere, who keep a set of their own: the sessions that have ended since the cursor, some of them
   * perhaps a second time, and none left out, whichever instance the cursor comes from. Waits for news when there are
   * none; costs no query.
   *
   * @param cursor of an earlier page; undefined for the whole window, which is never waited for
   * @param waitSeconds how long to wait for news at most
   * @throws ValidationFailedError when no instance has issued the cursor
   * @throws TemporarilyUnavailableError as `isRevoked`
   */
  async readAfter(cursor: string | undefined, waitSeconds: number): Promise<RevocationPage> {
    const askedAtMs = this.clock.monotonicMs();
    const position = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && position === undefined) {
      throw new ValidationFailedError([{ field: 'after', message: 'must be the cursor of an earlier answer' }]);
    }
    if (position !== undefined && this.log.isBehind(position)) {
      await Promise.race([this.nextPoll.promise, waitUnreferenced(2 * POLL_INTERVAL_MS)]);
    }
    await this.requireCurrent();
    if (position !== undefined && this.log.after(position).length === 0) {
      await this.waitForNews(Math.min(waitSeconds, LONGEST_WAIT_FOR_NEWS_SECONDS) * 1000);
      await this.requireCurrent();
    }
    return {
      sessionIds: this.log.after(position),
      cursor: formatCursor(this.log.end),
      ageSeconds: this.ageSeconds(),
      waitedSeconds: (this.clock.monotonicMs() - askedAtMs) / 1000,
    };
  }

  isCurrent(): boolean {
    return this.clock.monotonicMs() - this.currentAsOfMs <= this.maxStalenessMs;
  }

  /** How long ago the last completed poll began. */
  ageSeconds(): number {
    return (this.clock.monotonicMs() - this.currentAsOfMs) / 1000;
  }

  private async requireCurrent(): Promise<void> {
    if (!this.isCurrent()) {
      await Promise.race([this.nextPoll.promise, waitUnreferenced(LONGEST_WAIT_FOR_POLL_MS)]);
      if (!this.isCurrent()) {
        throw new TemporarilyUnavailableError(`the revocation feed is ${this.ageSeconds().toFixed(1)} s old`);
      }
    }
  }

  private async waitForNews(atMostMs: number): Promise<void> {
    if (atMostMs <= 0 || this.isDraining || this.waitingFollowers >= MOST_WAITING_FOLLOWERS) {
      return;
    }
    this.waitingFollowers += 1;
    await Promise.race([this.news.promise, waitUnreferenced(atMostMs)]);
    this.waitingFollowers -= 1;
  }

  private tellNews(): void {
    this.news.resolve();
    this.news = deferred();
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
        this.readFromXid = BEFORE_ALL_XIDS;
        this.epoch = await this.readEpoch(client);
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
    const { rows } = await client.query<PolledRow>(POLL_STATEMENT, [this.readFromXid]);
    const [row] = rows;
    if (row === undefined) {
      throw new Error('the poll returned no row');
    }
    const lastKnown = this.log.end.entry;
    this.log.addPolled(
      row.ids.map((sessionId, index) => ({ sessionId, xid: BigInt(row.xids[index] ?? 0) })),
      { epoch: this.epoch, completeBeforeXid: BigInt(row.xmin), nowMs: startedAtMs },
    );
    this.readFromXid = row.xmin;
    this.currentAsOfMs = startedAtMs;
    this.nextPoll.resolve();
    this.nextPoll = deferred();
    if (this.log.end.entry !== lastKnown) {
      this.tellNews();
    }
  }

  /** Where the server does not tell (some managed ones), every connection counts as a history of its own. */
  private async readEpoch(client: Client): Promise<string> {
    const history = await client
      .query<{ history: string }>(HISTORY_STATEMENT)
      .then(({ rows }) => rows[0]?.history)
      .catch(() => undefined);
    const source = history ?? randomBytes(16);
    return createHash('sha256').update(source).digest().subarray(0, 8).toString('base64url');
  }
}

interface PolledRow {
  /** Every transaction with an earlier id had ended when the statement began. */
  readonly xmin: string;
  readonly ids: readonly string[];
  /** Of the same rows, in the same order. */
  readonly xids: readonly string[];
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
