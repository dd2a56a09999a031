import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks until there is an answer or the deadline has passed; asks at least once.
 *
 * @returns `undefined` only after the deadline
 */
export async function poll<T>(
  ask: () => Promise<T | undefined>,
  deadline: AbortSignal,
  intervalMs = 20,
): Promise<T | undefined> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || deadline.aborted) {
      return answer;
    }
    await pause(intervalMs);
  }
}
