import { createHash } from 'node:crypto';
import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/message-of.js';

export interface CounterSettings {
  /** Names the counter in the store. */
  readonly name: string;
  /** How often a key may be taken within the window. */
  readonly limit: number;
  /** Counted from the first time that a key is taken. */
  readonly windowSeconds: number;
}

/** `count` includes this time. */
export type Taken =
  | { readonly kind: 'taken'; readonly count: number }
  | { readonly kind: 'exceeded'; readonly count: number; readonly retryAfterSeconds: number };

/** Tells a failure of the store that may clear by itself from a defect. */
export type IsUnavailable = (error: unknown) => boolean;

/**
 * Counts by key, atomically: of any number of concurrent `take`s of a key, on any number of instances, at most `limit`
 * are `taken` within a window. Keys are hashed before they are stored, for they are e-mails and addresses.
 *
 * @throws TemporarilyUnavailableError from each method when the store cannot be reached
 */
export class Counter {
  constructor(
    private readonly limiter: RateLimiterAbstract,
    private readonly isUnavailable: IsUnavailable,
  ) {}

  async take(key: string): Promise<Taken> {
    try {
      const { consumedPoints } = await this.limiter.consume(hashOf(key));
      return { kind: 'taken', count: consumedPoints };
    } catch (error) {
      if (error instanceof RateLimiterRes) {
        const { consumedPoints, msBeforeNext } = error;
        return { kind: 'exceeded', count: consumedPoints, retryAfterSeconds: Math.ceil(msBeforeNext / 1000) };
      }
      return this.rethrow(error);
    }
  }

  /** Undoes one `take`. */
  async giveBack(key: string): Promise<void> {
    await this.limiter.reward(hashOf(key), 1).catch(this.rethrow);
  }

  /** Refuses every `take` of the key for this long from now. */
  async close(key: string, seconds: number): Promise<void> {
    await this.limiter.block(hashOf(key), seconds).catch(this.rethrow);
  }

  /** Forgets every `take` of the key. */
  async reset(key: string): Promise<void> {
    await this.limiter.delete(hashOf(key)).catch(this.rethrow);
  }

  /** It does not matter whether a lost command was counted: nothing that the client asked for was done. */
  private readonly rethrow = (error: unknown): never => {
    throw this.isUnavailable(error)
      ? new TemporarilyUnavailableError(`the counters cannot be reached: ${messageOf(error)}`, { cause: error })
      : error;
  };
}

/** Creates counters that all instances share. */
export abstract class Counters {
  abstract counter(settings: CounterSettings): Counter;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
