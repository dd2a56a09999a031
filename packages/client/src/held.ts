import { tickMs, wallMs } from './platform.js';
import type { SessionRecord } from './record.js';

/** Less than this is left, or a third of its life: a use waits for the next token. */
const MARGIN_MS = 10_000;

/** An access token as this page has it, and what its age is counted from. */
export interface Held {
  /** Absent when it is in a cookie. */
  readonly token: string | undefined;
  readonly lifeMs: number;
  /** The age after which a use refreshes it beside the answer. */
  readonly refreshAfterMs: number;
  readonly obtainedWallMs: number;
  readonly seenTickMs: number;
  readonly ageWhenSeenMs: number;
}

export function hold(
  { expires_in, obtained_at }: Pick<SessionRecord, 'expires_in' | 'obtained_at'>,
  token: string | undefined,
): Held {
  const lifeMs = expires_in * 1_000;
  return {
    token,
    lifeMs,
    // Tabs that were opened together do not become due together.
    refreshAfterMs: lifeMs * (0.8 - 0.1 * Math.random()),
    obtainedWallMs: obtained_at,
    seenTickMs: tickMs(),
    ageWhenSeenMs: wallMs() - obtained_at,
  };
}

/**
 * What is left of a token's life. One clock stands still while the device sleeps and the other can be set, so the larger age
 * counts; a time that has gone backwards says nothing, and the token counts as expired.
 */
export function leftMs({ lifeMs, obtainedWallMs, seenTickMs, ageWhenSeenMs }: Held): number {
  const age = wallMs() - obtainedWallMs;
  return age < 0 ? 0 : lifeMs - Math.max(age, ageWhenSeenMs + tickMs() - seenTickMs);
}

export function marginMs({ lifeMs }: Held): number {
  return Math.min(MARGIN_MS, lifeMs / 3);
}
