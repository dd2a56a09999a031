import { setTimeout as pause } from 'node:timers/promises';
import { newIdempotencyKey, type TokenPair } from './test-client.js';

const RETRY_PAUSE_MS = 20;

/** How many attempts one refresh may take before the test gives up on the service. */
const MAX_ATTEMPTS = 2_000;

export interface Attempt {
  /** The instance to ask this time. */
  readonly url: string;
  /** After which the client gives the attempt up and hangs up. */
  readonly timeoutMs: number;
}

/**
 * Keeps a session alive by the algorithm in docs/api.md, to the letter: one refresh at a time, a fresh key stored
 * before it is sent, the same token with the same key after whatever is not an answer, and sign-in forced by a 401 or
 * 403 only.
 */
export class HonestClient {
  /** Every refresh token that has been exchanged for the next one, in order. */
  readonly used: string[] = [];
  /** Why the service made the user sign in again, if it did. */
  signedOutBy: string | undefined;
  private pending: { readonly key: string } | undefined;

  constructor(
    public pair: TokenPair,
    private readonly nextAttempt: () => Attempt,
  ) {}

  /** Refreshes until the new pair is stored, or until the service refuses the token for good. */
  async refresh(): Promise<void> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
      this.pending ??= { key: newIdempotencyKey() };
      const answer = await this.send(this.pending.key);
      if (answer?.status === 200) {
        this.used.push(this.pair.refresh_token);
        this.pair = answer.body as TokenPair;
        this.pending = undefined;
        return;
      }
      if (answer?.status === 401 || answer?.status === 403) {
        this.signedOutBy = JSON.stringify(answer.body);
        return;
      }
      if (answer !== undefined && answer.status !== 503) {
        throw new Error(`an answer that the algorithm does not know: ${JSON.stringify(answer)}`);
      }
      await pause(RETRY_PAUSE_MS);
    }
    throw new Error(`no answer after ${MAX_ATTEMPTS} attempts`);
  }

  /** @returns undefined when the answer was lost */
  private async send(key: string): Promise<{ readonly status: number; readonly body: unknown } | undefined> {
    const { url, timeoutMs } = this.nextAttempt();
    try {
      const response = await fetch(`${url}/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ refresh_token: this.pair.refresh_token }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      return { status: response.status, body: await response.json() };
    } catch {
      return undefined;
    }
  }
}
