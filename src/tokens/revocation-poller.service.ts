import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { type Client, DatabaseError } from 'pg';
import { Clock } from '../platform/common/clock.js';
import { messageOf } from '../platform/common/message-of.js';
import { connectionConfig } from '../platform/database/connection-settings.js';
import { DatabaseClient } from '../platform/database/database-client.js';
import { DatabaseClock } from '../platform/database/database-clock.js';
import { DatabaseAddress, SessionSupport } from '../platform/database/database.types.js';
import { type Beat, Heartbeat } from './heartbeat.js';
import type { PolledRevocations } from './revocation-log.js';
import {
  EMPTY_SNAPSHOT,
  LISTEN_FOR_REVOCATIONS,
  type PolledRow,
  pollText,
  RESTORE_REVOCATION,
  RESTORE_REVOCATIONS,
  type RestoredRow,
} from './revocation-poll.statement.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import { epochOf, findHistory } from './server-history.statement.js';
import { Signal } from './signal.js';

const POLL_INTERVAL_MS = 500;

/** Applies to connections that cannot LISTEN. */
const POLL_INTERVAL_WITHOUT_LISTEN_MS = 250;

/** Notifications start polls at most this often: a thousand logouts a second are not a thousand polls. */
const SHORTEST_POLL_INTERVAL_MS = 20;

/** The pause before the next connection doubles up to this while none tells anything. */
const LONGEST_RECONNECT_PAUSE_MS = 200;
const QUERY_TIMEOUT_MS = 3_000;

/** So many ended sessions are put back per statement, which has to end within the time-out. */
const RESTORED_AT_ONCE = 1_000;

/**
 * Polls for the revocations of all instances and puts them into the set. NOTIFY only starts a poll earlier, so a pooler
 * that breaks LISTEN breaks nothing. Reconnects for as long as the service runs. What this instance remembers and another
 * history of the database has lost is put back there first.
 */
@Injectable()
export class RevocationPollerService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(RevocationPollerService.name);
  private readonly wakeUp = new Signal();
  private isWoken = false;
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();
  private readonly heartbeat: Heartbeat;
  private lastBeat: Beat | undefined;
  /** The last beat because of which the heartbeat was told to go on elsewhere. */
  private renewedBeat: Beat | undefined;
  private isHeartFailing = false;

  constructor(
    private readonly address: DatabaseAddress,
    private readonly sessions: SessionSupport,
    private readonly clock: Clock,
    private readonly databaseClock: DatabaseClock,
    private readonly revoked: RevokedSessionsService,
  ) {
    this.heartbeat = new Heartbeat(
      address.directUrl,
      sessions.isKeptDirectly,
      clock,
      (beat) => {
        this.noteBeat(beat);
      },
      (error) => {
        this.noteFailedBeat(error);
      },
    );
  }

  /**
   * Resolves when the whole window is loaded from a server that commits: no request is answered from an empty set, nor
   * from a standby's.
   */
  async onModuleInit(): Promise<void> {
    this.heartbeat.start();
    this.running = this.pollUntilStopped();
    while (!this.revoked.isCurrent()) {
      await this.revoked.polled.within(POLL_INTERVAL_MS);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.wake();
    await Promise.all([this.running, this.heartbeat.stop()]);
  }

  private noteBeat(beat: Beat): void {
    this.lastBeat = beat;
    this.revoked.addHeartbeat(beat);
    if (this.isHeartFailing) {
      this.isHeartFailing = false;
      this.logger.log({ event: 'heartbeat_restored', msg: 'the database commits heartbeats again' });
    }
  }

  private noteFailedBeat(error: unknown): void {
    if (!this.isHeartFailing) {
      this.isHeartFailing = true;
      this.logger.warn({
        event: 'heartbeat_lost',
        msg: 'the database commits no heartbeat; after FENCE_SECONDS access tokens are answered with 503',
        reason: messageOf(error),
      });
    }
  }

  private async pollUntilStopped(): Promise<void> {
    let isFailing = false;
    let pauseMs = SHORTEST_POLL_INTERVAL_MS;
    while (this.isRunning()) {
      let connection: RevocationConnection | undefined;
      try {
        const openedAtMs = this.clock.monotonicMs();
        connection = await this.connect();
        while (this.isRunning()) {
          const startedAtMs = this.clock.monotonicMs();
          this.isWoken = false;
          const polled = await connection.poll();
          this.databaseClock.learn(polled.databaseMs, startedAtMs, this.clock.monotonicMs());
          await this.restoreLost(connection, polled);
          this.revoked.addPolled(polled, startedAtMs);
          // A server that answered a moment ago is most likely there: what was ended meanwhile is not to wait.
          pauseMs = SHORTEST_POLL_INTERVAL_MS;
          this.requireHeartbeatOf(polled.epoch, openedAtMs);
          if (isFailing) {
            isFailing = false;
            this.logger.log({ event: 'revocation_feed_restored', msg: 'revocations are being followed again' });
          }
          const intervalMs = connection.isListening ? POLL_INTERVAL_MS : POLL_INTERVAL_WITHOUT_LISTEN_MS;
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
      connection?.close();
      if (this.isRunning()) {
        await pause(pauseMs, undefined, { ref: false });
        pauseMs = Math.min(2 * pauseMs, LONGEST_RECONNECT_PAUSE_MS);
      }
    }
  }

  /** Before the set counts as current again: ended sessions stay ended, whatever the database has lost. */
  private async restoreLost(connection: RevocationConnection, polled: PolledRevocations): Promise<void> {
    const lost = this.revoked.lostIn(polled);
    let restored = 0;
    for (let start = 0; start < lost.length; start += RESTORED_AT_ONCE) {
      restored += await connection.restore(lost.slice(start, start + RESTORED_AT_ONCE));
    }
    if (restored > 0) {
      this.logger.warn({
        event: 'revocations_restored',
        msg: 'the database had lost the ends of sessions; they have ended again',
        count: restored,
      });
    }
  }

  /**
   * The heartbeat has a connection of its own, which may lead to another server: after a failover, one of the two is
   * still connected to the server of before.
   *
   * @throws Error when a heartbeat that began after the feed's connection was committed elsewhere
   */
  private requireHeartbeatOf(epoch: string, openedAtMs: number): void {
    if (this.lastBeat === undefined || this.lastBeat.epoch === epoch) {
      return;
    }
    if (this.renewedBeat !== this.lastBeat) {
      this.renewedBeat = this.lastBeat;
      this.heartbeat.renew();
    }
    if (this.lastBeat.startedAtMs > openedAtMs) {
      throw new Error('the feed and the heartbeat reach different servers');
    }
  }

  /** A method, because the compiler would assume the field unchanged across an await. */
  private isRunning(): boolean {
    return !this.isStopping;
  }

  private wake(): void {
    this.isWoken = true;
    this.wakeUp.tell();
  }

  private async connect(): Promise<RevocationConnection> {
    const connection = await RevocationConnection.open(this.address.directUrl, this.sessions.isKeptDirectly, () => {
      this.wake();
    });
    if (connection.listenRefusal !== undefined) {
      this.logger.warn({
        event: 'listen_refused',
        msg: 'LISTEN unavailable; falling back to polling',
        reason: connection.listenRefusal.message,
      });
    }
    return connection;
  }

  /**
   * Polls begin at regular intervals, so that a slow one does not make the set older than it must be. A notification
   * starts the next one earlier, but after a pause as long as the last poll took.
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

/** A connection that reads the whole window with its first poll, then each revocation once. */
class RevocationConnection {
  private snapshot = EMPTY_SNAPSHOT;
  private completeBeforeXid = 0n;
  private history: string | undefined;
  private epoch = '';

  private constructor(
    private readonly client: DatabaseClient,
    private readonly pollText: string,
    readonly isListening: boolean,
    /** Why the server refuses LISTEN; undefined if it does not, or was not asked to. */
    readonly listenRefusal: DatabaseError | undefined,
  ) {}

  /**
   * @param isSession false behind a transaction pooler, which refuses settings, and where LISTEN would bind a connection
   *   that others use
   * @param onWakeUp called at a notification, and when the connection is lost, so that the loss is noticed at once
   * @throws the error that keeps it from polling; no connection is left open then
   */
  static async open(url: string, isSession: boolean, onWakeUp: () => void): Promise<RevocationConnection> {
    const client = new DatabaseClient({
      ...connectionConfig(url, 'service', isSession),
      application_name: 'ratchet revocations',
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    client.on('error', onWakeUp);
    client.on('notification', onWakeUp);
    try {
      await client.connect();
      // Before the first poll: what is committed in between is then either read or notified.
      const listenRefusal = isSession ? await refusalOf(client, LISTEN_FOR_REVOCATIONS) : undefined;
      const text = pollText(await findHistory(client));
      return new RevocationConnection(client, text, isSession && listenRefusal === undefined, listenRefusal);
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /**
   * @throws Error also on a standby, and when this is no longer the same history: a pooler now leads to another server,
   *   or the server was restored. Polling has to begin again on a new connection.
   */
  async poll(): Promise<PolledRevocations & { readonly databaseMs: number }> {
    const { rows } = await this.client.query<PolledRow>(this.pollText, [this.snapshot]);
    const [row] = rows;
    if (row === undefined) {
      throw new Error('the poll returned no row');
    }
    if (row.is_standby) {
      throw new Error('the server is a standby');
    }
    const completeBeforeXid = BigInt(row.xmin);
    this.requireSameHistory(row.history, completeBeforeXid);
    this.snapshot = row.snapshot;
    this.completeBeforeXid = completeBeforeXid;
    return {
      revocations: row.ids.map((sessionId, index) => ({ sessionId, xid: BigInt(row.xids[index] ?? 0) })),
      epoch: this.epoch,
      completeBeforeXid,
      databaseMs: Number(row.now_ms),
    };
  }

  /** @returns how many of these sessions were alive and have ended now */
  async restore(sessionIds: readonly string[]): Promise<number> {
    const { rows: alive } = await this.client.query<RestoredRow>(RESTORE_REVOCATIONS, [sessionIds]);
    let restored = 0;
    for (const { id, is_ended: isEnded } of alive) {
      restored += isEnded ? 1 : ((await this.client.query(RESTORE_REVOCATION, [id])).rowCount ?? 0);
    }
    return restored;
  }

  close(): void {
    this.client.destroy();
  }

  /** Ids that run backwards count as another history as well. */
  private requireSameHistory(history: string, completeBeforeXid: bigint): void {
    if (this.history === undefined) {
      this.history = history;
      this.epoch = epochOf(history);
    }
    if (history !== this.history || completeBeforeXid < this.completeBeforeXid) {
      throw new Error('the connection leads to another history of the database');
    }
  }
}

/** @returns why the server refuses to run the statement; undefined when it has run it */
async function refusalOf(client: Client, statement: string): Promise<DatabaseError | undefined> {
  try {
    await client.query(statement);
    return undefined;
  } catch (error) {
    if (error instanceof DatabaseError) {
      return error;
    }
    throw error;
  }
}
