import { Injectable } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { Config } from '../platform/config/config.js';
import { TooManyAttemptsError } from './limits.errors.js';

/** A page with conditional sign-in asks once when it is opened. */
const REQUESTS_PER_NETWORK = 60;
const WINDOW_SECONDS = 60;

/**
 * Limits how many sign-ins with a passkey a client network may begin. Anyone may, and each takes a row for a few minutes. Counts
 * in this process only, so that what is refused costs no query.
 */
@Injectable()
export class PasskeyOptionsLimiterService {
  private readonly byNetwork = new RateLimiterMemory({ points: REQUESTS_PER_NETWORK, duration: WINDOW_SECONDS });

  constructor(private readonly config: Config) {}

  /**
   * @param network see `networkOf`
   * @throws TooManyAttemptsError
   */
  async countRequest(network: string): Promise<void> {
    if (!this.config.limits.isOn) {
      return;
    }
    try {
      await this.byNetwork.consume(network);
    } catch (error) {
      if (error instanceof RateLimiterRes) {
        throw new TooManyAttemptsError('options for passkeys for this network', error.msBeforeNext / 1000);
      }
      throw error;
    }
  }
}
