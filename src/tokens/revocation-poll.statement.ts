import { REVOCATION_WINDOW_SECONDS } from '../platform/config/access-token-lifetime.js';
import { NOTIFY_REVOCATION, REVOCATION_CHANNEL, revocation } from './revocation.fragments.js';

export const LISTEN_FOR_REVOCATIONS = `listen ${REVOCATION_CHANNEL}`;

/** The snapshot of a server that has run no transaction yet. */
export const EMPTY_SNAPSHOT = '1:1:';

export interface PolledRow {
  /** What this poll saw; the next one reads what it did not. */
  readonly snapshot: string;
  /** Every transaction with an earlier id had ended when the statement began. */
  readonly xmin: string;
  readonly history: string;
  /** Whole milliseconds since the epoch by the database's clock, in digits. */
  readonly now_ms: string;
  /** Whether this is a standby, whose data may be old. */
  readonly is_standby: boolean;
  readonly ids: readonly string[];
  /** The transaction ids of the same rows, in the same order. */
  readonly xids: readonly string[];
}

/**
 * Ends sessions of which this history of the database does not know that they have ended; skips those that another
 * transaction holds, so that it waits for none while it holds others.
 *
 * $1 session ids
 */
export const RESTORE_REVOCATIONS = `
  with alive as materialized (
    select id from refresh_token_families where id = any ($1::uuid[]) and revoked_at is null
  ),
  free as materialized (
    select id from refresh_token_families where id in (table alive) and revoked_at is null
    for no key update skip locked
  ),
  ended as (
    update refresh_token_families set ${revocation("'restored'")} where id in (table free)
    returning id, ${NOTIFY_REVOCATION}
  )
  select id::text, id in (select id from ended) as is_ended from alive`;

/** Does the same for one session, and waits for a transaction that holds it. */
export const RESTORE_REVOCATION = `
  update refresh_token_families set ${revocation("'restored'")} where id = $1 and revoked_at is null
  returning id::text, true as is_ended, ${NOTIFY_REVOCATION}`;

export interface RestoredRow {
  readonly id: string;
  readonly is_ended: boolean;
}

/**
 * Reads each committed revocation once: those that the snapshot of the last poll ($1) did not see, however early their
 * transactions began and stamped their rows. A timestamp cursor would lose the late ones, and one on xmin alone would
 * read the same rows again for as long as any transaction in the whole server stays open.
 */
export function pollText(history: string): string {
  return `
    select pg_current_snapshot()::text as snapshot, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      ${history} as history, (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms,
      pg_is_in_recovery() as is_standby,
      coalesce(array_agg(id::text), '{}') as ids, coalesce(array_agg(revoked_xid::text), '{}') as xids
    from refresh_token_families
    where revoked_xid >= pg_snapshot_xmin($1::pg_snapshot)
      and not pg_visible_in_snapshot(revoked_xid, $1::pg_snapshot)
      and revoked_at > now() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})`;
}
