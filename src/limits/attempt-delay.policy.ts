/** This many wrong passwords in a row cause no delay. */
export const ATTEMPTS_BEFORE_DELAY = 10;

const SHORTEST_DELAY_SECONDS = 30;

/** The longest that the owner of an account under attack waits for one attempt. */
const LONGEST_DELAY_SECONDS = 15 * 60;

/**
 * Returns how long an account stays closed after the last allowed attempt: 30 s, then twice as long each time, up to 15
 * minutes.
 *
 * @param delayNumber counted from 1 since the last correct password
 */
export function attemptDelaySeconds(delayNumber: number): number {
  return Math.min(SHORTEST_DELAY_SECONDS * 2 ** Math.min(delayNumber - 1, 30), LONGEST_DELAY_SECONDS);
}
