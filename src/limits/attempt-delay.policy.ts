/** So many wrong passwords in a row cost nothing but the time of a hash. */
export const ATTEMPTS_BEFORE_DELAY = 10;

const SHORTEST_DELAY_SECONDS = 30;

/** The owner of an account under attack waits that long at most for one attempt. */
const LONGEST_DELAY_SECONDS = 15 * 60;

/**
 * How long an account stays closed after the last attempt that was admitted: 30 s, then twice as long each time, up to
 * 15 minutes and no further.
 *
 * @param delayNumber counted from 1 since the last correct password
 */
export function attemptDelaySeconds(delayNumber: number): number {
  return Math.min(SHORTEST_DELAY_SECONDS * 2 ** Math.min(delayNumber - 1, 30), LONGEST_DELAY_SECONDS);
}
