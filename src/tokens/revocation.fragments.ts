/** Instances LISTEN on this channel. The payload is empty: a notification only wakes the poll. */
export const REVOCATION_CHANNEL = 'ratchet_revocations';

/** Belongs into the `returning` clause of each statement that ends sessions. */
export const NOTIFY_REVOCATION = `pg_notify('${REVOCATION_CHANNEL}', '')`;

/**
 * Returns the assignments that end a family. The other instances find the row by its transaction id.
 *
 * @param reason,at SQL expressions
 */
export function revocation(reason: string, at = 'clock_timestamp()'): string {
  return `revoked_at = ${at}, revoked_xid = pg_current_xact_id(), revoke_reason = ${reason}`;
}
