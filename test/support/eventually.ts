import { setTimeout as pause } from 'node:timers/promises';

const LONGEST_PAUSE_MS = 20;

/**
 * Polls until the condition holds.
 *
 * @throws Error when it does not hold in time; what the last attempt threw is its cause
 */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  { withinMs }: { readonly withinMs: number },
): Promise<void> {
  const giveUpAtMs = performance.now() + withinMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    let cause: unknown;
    try {
      if (await condition()) {
        return;
      }
    } catch (error) {
      cause = error;
    }
    if (performance.now() > giveUpAtMs) {
      throw new Error(`the condition did not come true within ${withinMs} ms: ${condition.toString()}`, { cause });
    }
    await pause(pauseMs);
  }
}
