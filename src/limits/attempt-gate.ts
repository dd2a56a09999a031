import { attemptDelaySeconds } from './attempt-delay.policy.js';
import type { Counters, Take } from './counter.js';

const DAY_SECONDS = 86_400;
const MOST_DELAYS = 1_000_000;

/** `takes`: what an attempt that was admitted has used. Without it the gate was closed. */
export interface GatePassage {
  readonly delaySeconds: number;
  /** Counted from 1 since the last reset; 0 for an attempt that was not admitted. */
  readonly delayNumber: number;
  readonly takes?: readonly Take[];
}

/**
 * Admits one attempt per delay (see `attemptDelaySeconds`). Resetting what the attempt took clears the delays; giving it
 * back opens the gate again.
 *
 * @param name of the kind of attempts; a key has one gate for each
 */
export async function passGate(
  counters: Counters,
  name: 'password' | 'code' | 'factor',
  key: string,
): Promise<GatePassage> {
  const shortest = attemptDelaySeconds(1);
  // The gate closes for the shortest delay in the statement that decides; only the attempt it admitted may lengthen
  // it. Its points are the delay in seconds.
  const gate: Take = { name: `${name}-gate`, key, points: shortest, limit: shortest, windowSeconds: shortest };
  const [allowed] = await counters.take([gate]);
  if (allowed?.isTaken !== true) {
    // The whole delay instead of what is left of it: no one learns from the answer at which second it will open.
    return { delaySeconds: allowed?.points ?? shortest, delayNumber: 0 };
  }
  const delay: Take = { name: `${name}-delay`, key, points: 1, limit: MOST_DELAYS, windowSeconds: DAY_SECONDS };
  const [delays] = await counters.take([delay]);
  const delayNumber = delays?.points ?? 1;
  const delaySeconds = attemptDelaySeconds(delayNumber);
  await counters.change([{ ...gate, kind: 'set', points: delaySeconds, windowSeconds: delaySeconds }]);
  return { delaySeconds, delayNumber, takes: [{ ...gate, points: delaySeconds }, delay] };
}
