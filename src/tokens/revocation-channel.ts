/** Instances LISTEN here; the payload is empty, the channel only wakes the poll. */
export const REVOCATION_CHANNEL = 'ratchet_revocations';
