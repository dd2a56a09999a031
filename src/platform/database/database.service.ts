import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Pool, PoolClient } from 'pg';
import { Clock } from '../common/clock.js';
import {
  afterCommit,
  OutcomeUnknownError,
  OverloadedError,
  TemporarilyUnavailableError,
} from '../common/domain.errors.js';
import {
  ConnectionLostError,
  isConnectionSpent,
  ReadOnlySessionError,
  translateStatementError,
} from './database.errors.js';
import { dueMigrations } from './due-migrations.js';
import type { Lock } from './locks.js';

/** Runs single prepared statements, each in a transaction of its own unless it is a `Transaction`. */
export interface Connection {
  queryPrepared<Row extends object>(statement: PreparedStatement, values: readonly unknown[]): Promise<Row[]>;
}

/** What a repository may do inside a transaction. */
export interface Transaction extends Connection {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A statement that every connection parses and plans once. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
}

export interface DatabaseOptions {
  /** Behind a transaction pooler a connection's prepared statements are not there for the next transaction. */
  readonly canPrepare: boolean;
}

/**
 * How long an outcome may stay unknown before the caller gets an error: longer than a server takes to restart after a
 * crash, shorter than the time after which clients give up.
 */
const SETTLE_DEADLINE_MS = 8_000;

/** Failures of a retry after which the next one may succeed. */
const MAY_CLEAR = [ConnectionLostError, TemporarilyUnavailableError, OverloadedError] as const;

/**
 * Runs every statement of the service. A failure that a caller can do something about leaves here as a
 * `TemporarilyUnavailableError` (nothing was done) or a `ConnectionLostError` (it may have been).
 */
@Injectable()
export class DatabaseService implements OnApplicationShutdown {
  constructor(
    private readonly pool: Pool,
    private readonly clock: Clock,
    private readonly options: DatabaseOptions,
  ) {}

  /** Runs one autocommit statement in one round trip. */
  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.onConnection((client) => runStatement<Row>(client, { text }, values));
  }

  /** Does the same as `query` with a prepared statement, for the hot paths. */
  async queryPrepared<Row extends object>(statement: PreparedStatement, values: readonly unknown[]): Promise<Row[]> {
    return this.onConnection((client) => runStatement<Row>(client, this.preparable(statement), values));
  }

  /**
   * Calls `work` as soon as a connection is free, so that it can decide at the last moment what to send, if anything.
   * Opens no transaction.
   */
  async withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.onConnection((client) =>
      work({ queryPrepared: (statement, values) => runStatement(client, this.preparable(statement), values) }),
    );
  }

  /**
   * Runs `work` in a READ COMMITTED transaction: commits when it resolves, rolls back when it throws. Expected outcomes
   * are return values, so that an error answer never rolls back a revocation.
   */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.onConnection(async (client) => {
      await runStatement(client, { text: 'begin isolation level read committed' });
      try {
        const result = await work({
          query: (text, values) => runStatement(client, { text }, values),
          queryPrepared: (statement, values) => runStatement(client, this.preparable(statement), values),
        });
        await runStatement(client, { text: 'commit' });
        return result;
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) {
          await runStatement(client, { text: 'rollback' });
        }
        throw error;
      }
    });
  }

  /**
   * Runs `work` in a transaction that holds the lock, and does not wait for it. The lock belongs to the transaction, so
   * it works behind a pooler and ends with its holder.
   *
   * @returns undefined when another transaction holds the lock
   */
  async tryWithLock<T>(lock: Lock, work: (transaction: Transaction) => Promise<T>): Promise<T | undefined> {
    return this.transaction(async (transaction) => {
      const [row] = await transaction.query<{ is_held: boolean }>('select pg_try_advisory_xact_lock($1) as is_held', [
        lock,
      ]);
      return row?.is_held === true ? work(transaction) : undefined;
    });
  }

  /**
   * Runs `attempt` again for as long as its outcome is unknown because a connection died around its commit, so that the
   * client learns what happened and need not guess.
   *
   * @param attempt must be idempotent: run twice it changes what running it once changes. Its argument says whether
   *   this run is a retry.
   * @throws OutcomeUnknownError when the database does not come back in time, or a retry fails in another way; an error
   *   that says "nothing was done" comes from a first attempt only
   */
  async settle<T>(attempt: (isRetry: boolean) => Promise<T>): Promise<T> {
    const giveUpAt = this.clock.monotonicMs() + SETTLE_DEADLINE_MS;
    let outcomeIsUnknown = false;
    for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 400)) {
      try {
        return await attempt(outcomeIsUnknown);
      } catch (error) {
        outcomeIsUnknown ||= error instanceof ConnectionLostError;
        if (!outcomeIsUnknown) {
          throw error;
        }
        if (!MAY_CLEAR.some((kind) => error instanceof kind)) {
          throw afterCommit(error);
        }
        if (this.clock.monotonicMs() + pauseMs > giveUpAt) {
          throw new OutcomeUnknownError('the database did not come back in time', { cause: error });
        }
      }
      await pause(pauseMs);
    }
  }

  /**
   * Whether every migration this build knows has been applied.
   *
   * @throws TemporarilyUnavailableError also when the database can be read but not written
   */
  async isSchemaCurrent(): Promise<boolean> {
    return this.onConnection(async (client) => {
      const [found] = await runStatement<{ applied: string[]; is_read_only: boolean }>(client, {
        text: `select array(select name::text from schema_migrations) as applied,
          current_setting('transaction_read_only')::boolean as is_read_only`,
      });
      if (found === undefined || found.is_read_only) {
        throw new TemporarilyUnavailableError('the database is read-only', { cause: new ReadOnlySessionError() });
      }
      return dueMigrations(found.applied).length === 0;
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }

  private preparable({ name, text }: PreparedStatement): { readonly text: string; readonly name?: string } {
    return this.options.canPrepare ? { name, text } : { text };
  }

  private async onConnection<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect().catch((error: unknown) => {
      throw new TemporarilyUnavailableError('no database connection is available', { cause: error });
    });
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(isConnectionSpent(error));
      throw error;
    }
  }
}

async function runStatement<Row extends object>(
  client: PoolClient,
  statement: { readonly text: string; readonly name?: string },
  values: readonly unknown[] = [],
): Promise<Row[]> {
  try {
    const { rows } = await client.query<Row>({ ...statement, values: [...values] });
    return rows;
  } catch (error) {
    throw translateStatementError(error);
  }
}
