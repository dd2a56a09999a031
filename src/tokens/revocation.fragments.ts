/** Instances LISTEN on this channel. The payload is empty: a notification only wakes the poll. */
export const REVOCATION_CHANNEL = 'ratchet_revocations';

/** For the `returning` clause of each statement that ends sessions. */
export const NOTIFY_REVOCATION = `pg_notify('${REVOCATION_CHANNEL}', '')`;

/**
 * The assignments that end a family. The transaction id is what the other instances find the row by.
 *
 * @param reason,at SQL expressions
 */
export function revocation(reason: string, at = 'clock_timestamp()'): string {
  return `revoked_at = ${at}, revoked_xid = pg_current_xact_id(), revoke_reason = ${reason}`;
}
