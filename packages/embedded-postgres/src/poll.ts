import { setTimeout as pause } from 'node:timers/promises';

const PAUSE_MS = 20;

/**
 * Asks until there is an answer or the time is up; asks at least once.
 *
 * @returns `undefined` only when the time is up
 */
export async function poll<T>(withinMs: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || performance.now() >= deadlineMs) {
      return answer;
    }
    await pause(PAUSE_MS);
  }
}
