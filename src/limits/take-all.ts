import type { Counters, Take } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';

/**
 * Takes from every counter, or from none: when one is exceeded, what was taken of the others is given back.
 *
 * @param what the limit is on, for the log
 * @throws TooManyAttemptsError until the last window of those that are exceeded ends
 * @throws TemporarilyUnavailableError when the counters cannot be reached
 */
export async function takeAll(counters: Counters, takes: readonly Take[], what: string): Promise<void> {
  const taken = await counters.take(takes);
  const exceeded = taken.filter(({ isTaken }) => !isTaken);
  if (exceeded.length > 0) {
    await counters.change(
      takes.filter((_take, index) => taken[index]?.isTaken).map((take) => ({ ...take, kind: 'give_back' })),
    );
    throw new TooManyAttemptsError(what, Math.max(...exceeded.map(({ remainingSeconds }) => remainingSeconds)));
  }
}
