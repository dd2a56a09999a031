import { Injectable } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { Counters } from './counter.js';
import { takesOfNetworks } from './network-takes.js';
import { takeAll } from './take-all.js';

const REGISTRATIONS_PER_NETWORK = 20;
const WINDOW_SECONDS = 15 * 60;

/**
 * Bounds how many accounts a client network can create, and so how many e-mails it can probe for an account, over all
 * instances together.
 */
@Injectable()
export class RegistrationsService {
  constructor(
    private readonly config: Config,
    private readonly counters: Counters,
  ) {}

  /**
   * Counts a registration. Call it after validation, so that a typing error is not counted, and before the password is
   * hashed.
   *
   * @param networks see `networksOf`
   * @throws TooManyAttemptsError
   * @throws TemporarilyUnavailableError when the counters cannot be reached
   */
  async countRegistration(networks: readonly string[]): Promise<void> {
    if (!this.config.limits.isOn) {
      return;
    }
    const takes = takesOfNetworks(networks, {
      name: 'registration-network',
      points: 1,
      limit: REGISTRATIONS_PER_NETWORK,
      windowSeconds: WINDOW_SECONDS,
    });
    await takeAll(this.counters, takes, 'registrations from this network');
  }
}
