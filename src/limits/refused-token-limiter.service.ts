import { Injectable } from '@nestjs/common';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';

/** A client that follows the algorithm of `docs/api.md` drops a token at its first refusal. */
const REFUSALS_PER_NETWORK = 300;
const WINDOW_SECONDS = 60;

/**
 * Limits how many tokens that this service never issued a client network may show. Authentic ones are never limited: a
 * neighbour's rubbish must not keep anyone from refreshing or logging out. Counts in this process only, so that invalid
 * tokens never cause a query.
 */
@Injectable()
export class RefusedTokenLimiterService {
  private readonly byNetwork = new RateLimiterMemory({ points: REFUSALS_PER_NETWORK, duration: WINDOW_SECONDS });

  constructor(private readonly config: Config) {}

  /**
   * Reads a token, and counts a failure.
   *
   * @param network see `networkOf`
   * @param read throws when the token is not authentic
   * @throws TooManyAttemptsError in place of what `read` throws, once the network has shown too many such tokens
   */
  async limitRefusals<T>(network: string, read: () => T): Promise<T> {
    try {
      return read();
    } catch (error) {
      if (this.config.limits.isOn) {
        const { consumedPoints, msBeforeNext } = await this.byNetwork.penalty(network);
        if (consumedPoints > REFUSALS_PER_NETWORK) {
          throw new TooManyAttemptsError('refused tokens from this network', msBeforeNext / 1000);
        }
      }
      throw error;
    }
  }
}
