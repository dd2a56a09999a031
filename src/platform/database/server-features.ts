import { randomInt } from 'node:crypto';
import { type Client, DatabaseError } from 'pg';
import { withClient } from './with-client.js';

/** No such type, no such function, feature not supported. */
const NOT_THERE_SQLSTATES: readonly (string | undefined)[] = ['42704', '42883', '0A000'];

/**
 * Tries what the service relies on and databases that speak PostgreSQL's protocol may lack: without it revocations would
 * be missed, or two instances would migrate at the same time, and neither would be an error.
 *
 * @param url leads to the same server as the connection
 * @returns the missing feature in words
 */
export async function findMissingFeature(client: Client, url: string): Promise<string | undefined> {
  if (!(await hasTransactionIds(client))) {
    return 'transaction ids and snapshots (xid8, pg_current_snapshot)';
  }
  const key = randomInt(2 ** 47);
  await client.query('begin');
  await client.query('select pg_advisory_xact_lock($1)', [key]);
  const isExclusive = await isLocked(url, key);
  await client.query('rollback');
  return isExclusive ? undefined : 'advisory locks that exclude each other';
}

async function hasTransactionIds(client: Client): Promise<boolean> {
  try {
    await client.query(`select pg_visible_in_snapshot('3'::xid8, pg_current_snapshot())`);
    return true;
  } catch (error) {
    if (error instanceof DatabaseError && NOT_THERE_SQLSTATES.includes(error.code)) {
      return false;
    }
    throw error;
  }
}

async function isLocked(url: string, key: number): Promise<boolean> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ is_free: boolean }>('select pg_try_advisory_xact_lock($1) as is_free', [key]);
    return rows[0]?.is_free === false;
  });
}
