import { Injectable } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { type Counter, Counters } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';

const REGISTRATIONS_PER_NETWORK = 20;
const WINDOW_SECONDS = 15 * 60;

/**
 * Bounds how many accounts a client network can create, and so how many e-mails it can probe for an account, over all
 * instances together.
 */
@Injectable()
export class RegistrationsService {
  private readonly byNetwork: Counter;

  constructor(
    private readonly config: Config,
    counters: Counters,
  ) {
    this.byNetwork = counters.counter({
      name: 'registration-network',
      limit: REGISTRATIONS_PER_NETWORK,
      windowSeconds: WINDOW_SECONDS,
    });
  }

  /**
   * Counts a registration. Call it after validation, so that a typing error is not counted, and before the password is
   * hashed.
   *
   * @param network see `networkOf`
   * @throws TooManyAttemptsError
   * @throws TemporarilyUnavailableError when the counters cannot be reached
   */
  async countRegistration(network: string): Promise<void> {
    if (!this.config.limits.isOn) {
      return;
    }
    const taken = await this.byNetwork.take(network);
    if (taken.kind === 'exceeded') {
      throw new TooManyAttemptsError('registrations from this network', taken.retryAfterSeconds);
    }
  }
}
