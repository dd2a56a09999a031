import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { type Client, DatabaseError } from 'pg';
import { Clock } from '../platform/common/clock.js';
import { messageOf } from '../platform/common/message-of.js';
import { connectionConfig } from '../platform/database/connection-settings.js';
import { DatabaseClient } from '../platform/database/database-client.js';
import { DatabaseAddress, SessionSupport } from '../platform/database/database.types.js';
import type { PolledRevocations } from './revocation-log.js';
import {
  ASK_HISTORY,
  EMPTY_SNAPSHOT,
  HISTORY,
  LISTEN_FOR_REVOCATIONS,
  type PolledRow,
  pollText,
  UNKNOWN_HISTORY,
} from './revocation-poll.statement.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import { Signal } from './signal.js';

const POLL_INTERVAL_MS = 500;

/** For connections that cannot LISTEN. */
const POLL_INTERVAL_WITHOUT_LISTEN_MS = 250;

/** Notifications start polls at most this often: a thousand logouts a second are not a thousand polls. */
const SHORTEST_POLL_INTERVAL_MS = 20;

const RECONNECT_PAUSE_MS = 200;
const QUERY_TIMEOUT_MS = 3_000;

/**
 * SQLSTATEs of a server that refuses to name its history: insufficient privilege, no such function, feature not
 * supported.
 */
const HISTORY_REFUSED_SQLSTATES: readonly (string | undefined)[] = ['42501', '42883', '0A000'];

/**
 * Polls for the revocations of all instances and puts them into the set. NOTIFY only starts a poll earlier, so a pooler
 * that breaks LISTEN breaks nothing. Reconnects for as long as the service runs.
 */
@Injectable()
export class RevocationPollerService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(RevocationPollerService.name);
  private readonly wakeUp = new Signal();
  private isWoken = false;
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly address: DatabaseAddress,
    private readonly sessions: SessionSupport,
    private readonly clock: Clock,
    private readonly revoked: RevokedSessionsService,
  ) {}

  /** Resolves when the whole window is loaded: no request is answered from an empty set. */
  async onModuleInit(): Promise<void> {
    this.running = this.pollUntilStopped();
    while (!this.revoked.isLoaded()) {
      await this.revoked.polled.within(POLL_INTERVAL_MS);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.wake();
    await this.running;
  }

  private async pollUntilStopped(): Promise<void> {
    let isFailing = false;
    while (this.isRunning()) {
      let connection: RevocationConnection | undefined;
      try {
        connection = await this.connect();
        while (this.isRunning()) {
          const startedAtMs = this.clock.monotonicMs();
          this.isWoken = false;
          this.revoked.addPolled(await connection.poll(), startedAtMs);
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
      await connection?.close();
      if (this.isRunning()) {
        await pause(RECONNECT_PAUSE_MS, undefined, { ref: false });
      }
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
    private readonly client: Client,
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
      const historyRefusal = await refusalOf(client, ASK_HISTORY);
      if (historyRefusal !== undefined && !HISTORY_REFUSED_SQLSTATES.includes(historyRefusal.code)) {
        throw historyRefusal;
      }
      const text = pollText(historyRefusal === undefined ? HISTORY : UNKNOWN_HISTORY);
      return new RevocationConnection(client, text, isSession && listenRefusal === undefined, listenRefusal);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /**
   * @throws Error also when this is no longer the same history: a pooler now leads to another server, or the server was
   *   restored. Polling has to begin again on a new connection.
   */
  async poll(): Promise<PolledRevocations> {
    const { rows } = await this.client.query<PolledRow>(this.pollText, [this.snapshot]);
    const [row] = rows;
    if (row === undefined) {
      throw new Error('the poll returned no row');
    }
    const completeBeforeXid = BigInt(row.xmin);
    this.requireSameHistory(row.history, completeBeforeXid);
    this.snapshot = row.snapshot;
    this.completeBeforeXid = completeBeforeXid;
    return {
      revocations: row.ids.map((sessionId, index) => ({ sessionId, xid: BigInt(row.xids[index] ?? 0) })),
      epoch: this.epoch,
      completeBeforeXid,
    };
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }

  /**
   * On a server that does not name its history, a new connection or ids that run backwards count as another history.
   */
  private requireSameHistory(history: string, completeBeforeXid: bigint): void {
    if (this.history === undefined) {
      this.history = history;
      const source = history === '' ? randomBytes(16) : history;
      this.epoch = createHash('sha256').update(source).digest().subarray(0, 8).toString('base64url');
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
