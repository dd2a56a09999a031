import { Client } from 'pg';
import { eventually } from './eventually.js';
import type { TestDatabase } from './test-database.js';

export interface HeldLock {
  /** Resolves when that many connections of the service wait for a lock, in the order in which they were started. */
  untilWaiting(count: number): Promise<void>;
  /** Runs in the transaction that holds the lock. */
  sql(text: string, values?: readonly unknown[]): Promise<void>;
  release(): Promise<void>;
}

/**
 * Keeps rows locked in a transaction of the test, so that operations of the service can be queued up behind it in a
 * chosen order.
 *
 * @param statement locks the rows, e.g. `select 1 from users where id = $1 for update`
 */
export async function holdLock(
  database: Pick<TestDatabase, 'url' | 'sql'>,
  statement: string,
  values: readonly unknown[],
): Promise<HeldLock> {
  const client = new Client({ connectionString: database.url, application_name: 'test lock holder' });
  await client.connect();
  await client.query('begin');
  await client.query(statement, [...values]);
  return {
    untilWaiting: async (count) => {
      await eventually(async () => (await countWaiting(database)) === count, { withinMs: 4_000 });
    },
    sql: async (text, parameters = []) => {
      await client.query(text, [...parameters]);
    },
    release: async () => {
      await client.query('commit');
      await client.end();
    },
  };
}

async function countWaiting(database: Pick<TestDatabase, 'sql'>): Promise<number> {
  const [row] = await database.sql<{ count: number }>(
    `select count(*)::integer as count from pg_stat_activity
     where datname = current_database() and application_name in ('ratchet', 'ratchet migrations')
       and wait_event_type = 'Lock'`,
  );
  return row!.count;
}
