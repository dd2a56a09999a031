import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { REVOCATION_CHANNEL } from './revocation.fragments.js';

export const LISTEN_FOR_REVOCATIONS = `listen ${REVOCATION_CHANNEL}`;

/** The snapshot of a server that has run no transaction yet. */
export const EMPTY_SNAPSHOT = '1:1:';

/**
 * Names the server and how often its history has branched off (by a promotion or a point-in-time recovery). Fails on a
 * standby, whose data may be old.
 */
export const HISTORY = `(
  select system_identifier::text || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) from pg_control_system())`;

/** For managed servers that refuse to name their history. */
export const UNKNOWN_HISTORY = `''`;

export const ASK_HISTORY = `select ${HISTORY}`;

export interface PolledRow {
  /** What this poll saw; the next one reads what it did not. */
  readonly snapshot: string;
  /** Every transaction with an earlier id had ended when the statement began. */
  readonly xmin: string;
  readonly history: string;
  readonly ids: readonly string[];
  /** The transaction ids of the same rows, in the same order. */
  readonly xids: readonly string[];
}

/**
 * Reads each committed revocation once: those that the snapshot of the last poll ($1) did not see, however early their
 * transactions began and stamped their rows. A timestamp cursor would lose the late ones, and one on xmin alone would
 * read the same rows again for as long as any transaction in the whole server stays open.
 */
export function pollText(history: string): string {
  return `
    select pg_current_snapshot()::text as snapshot, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      ${history} as history,
      coalesce(array_agg(id::text), '{}') as ids, coalesce(array_agg(revoked_xid::text), '{}') as xids
    from refresh_token_families
    where revoked_xid >= pg_snapshot_xmin($1::pg_snapshot)
      and not pg_visible_in_snapshot(revoked_xid, $1::pg_snapshot)
      and revoked_at > now() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})`;
}
