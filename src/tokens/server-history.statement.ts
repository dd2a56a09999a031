import { createHash } from 'node:crypto';
import { type Client, DatabaseError } from 'pg';

const START = 'extract(epoch from pg_postmaster_start_time())::text';

/**
 * Names the server, how often its history has branched off (by a promotion or a point-in-time recovery), and its last
 * start. After a crash, ids of transactions that left no trace are handed out again; where only a session crashed, the
 * server recovers without a start, and its statistics begin anew. Fails on a standby, whose data may be old.
 */
const HISTORY = `(
  select concat_ws(' ', system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), ${START},
    extract(epoch from pg_stat_get_bgwriter_stat_reset_time()))
  from pg_control_system())`;

/**
 * SQLSTATEs of a server that refuses to name its history: insufficient privilege, no such function, feature not
 * supported.
 */
const HISTORY_REFUSED_SQLSTATES: readonly (string | undefined)[] = ['42501', '42883', '0A000'];

/** Returns the SQL expression that names the history of this server: on managed servers, its last start alone. */
export async function findHistory(client: Client): Promise<string> {
  try {
    await client.query(`select ${HISTORY}`);
    return HISTORY;
  } catch (error) {
    if (error instanceof DatabaseError && HISTORY_REFUSED_SQLSTATES.includes(error.code)) {
      return START;
    }
    throw error;
  }
}

/** Returns the short name of a history that is part of cursors. */
export function epochOf(history: string): string {
  return createHash('sha256').update(history).digest().subarray(0, 8).toString('base64url');
}
