import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Clock } from '../platform/common/clock.js';
import { VERSION } from '../platform/common/version.js';
import { connectionConfig } from '../platform/database/connection-settings.js';
import { DatabaseClient } from '../platform/database/database-client.js';
import { FORGET_INSTANCE, heartbeatText } from './heartbeat.statement.js';
import { epochOf, findHistory } from './server-history.statement.js';
import { Signal } from './signal.js';

const INTERVAL_MS = 2_000;
const RECONNECT_PAUSE_MS = 200;

/** A commit that waits for its standby is not cancelled by the server, so this is what ends the wait for it. */
const QUERY_TIMEOUT_MS = 5_000;

const GOODBYE_TIMEOUT_MS = 500;

/** A heartbeat that the database has committed. */
export interface Beat {
  /** Names the history of the server that has committed it. */
  readonly epoch: string;
  /** When it was sent, on the monotonic clock. */
  readonly startedAtMs: number;
}

/**
 * Writes a row every two seconds, which only a server can commit that may still acknowledge: a standby cannot, nor can a
 * primary that was replaced under synchronous replication. It has a connection of its own, because a commit can wait for
 * a standby while revocations still have to be read.
 */
export class Heartbeat {
  private readonly wakeUp = new Signal();
  private readonly id = randomUUID();
  private client: DatabaseClient | undefined;
  /** Whether an answer of the database is awaited. */
  private isWaiting = false;
  private isRenewed = false;
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  /**
   * @param isSession false behind a transaction pooler
   * @param onBeat called after each commit
   * @param onFailure called after each failed attempt
   */
  constructor(
    private readonly url: string,
    private readonly isSession: boolean,
    private readonly clock: Clock,
    private readonly onBeat: (beat: Beat) => void,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  start(): void {
    this.running = this.beatUntilStopped();
  }

  /** Goes on at once on a new connection: by now the address may lead to another server. */
  renew(): void {
    this.isRenewed = true;
    this.interrupt();
  }

  /** Does not wait for a commit under way. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.interrupt();
    await this.running;
  }

  private interrupt(): void {
    this.wakeUp.tell();
    if (this.isWaiting) {
      this.client?.destroy();
    }
  }

  private async beatUntilStopped(): Promise<void> {
    while (!this.isStopping) {
      this.isRenewed = false;
      try {
        await this.beatOnOneConnection();
      } catch (error) {
        if (this.goesOn()) {
          this.onFailure(error);
          await this.wakeUp.within(RECONNECT_PAUSE_MS);
        }
      }
    }
  }

  /** Returns when it is renewed or stopped. */
  private async beatOnOneConnection(): Promise<void> {
    const client = new DatabaseClient({
      ...connectionConfig(this.url, 'service', this.isSession),
      application_name: 'ratchet heartbeat',
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    this.client = client;
    this.isWaiting = true;
    try {
      await client.connect();
      const text = heartbeatText(await findHistory(client));
      while (this.goesOn()) {
        this.isWaiting = true;
        const startedAtMs = this.clock.monotonicMs();
        const { rows } = await client.query<{ history: string }>(text, [this.id, hostname(), VERSION]);
        this.isWaiting = false;
        this.onBeat({ epoch: epochOf(rows[0]?.history ?? ''), startedAtMs });
        if (this.goesOn()) {
          await this.wakeUp.within(Math.max(0, startedAtMs + INTERVAL_MS - this.clock.monotonicMs()));
        }
      }
      if (this.isStopping) {
        const goodbye = { text: FORGET_INSTANCE, values: [this.id], query_timeout: GOODBYE_TIMEOUT_MS };
        await client.query(goodbye);
      }
    } finally {
      client.destroy();
    }
  }

  /** A method, because the compiler would assume the fields unchanged across an await. */
  private goesOn(): boolean {
    return !this.isStopping && !this.isRenewed;
  }
}
