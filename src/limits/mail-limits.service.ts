import { Injectable } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { Counters, type Take } from './counter.js';
import { takesOfNetworks } from './network-takes.js';
import { takeAll } from './take-all.js';

const QUARTER_SECONDS = 15 * 60;
const DAY_SECONDS = 86_400;

const MAILS_PER_ADDRESS_AND_QUARTER = 3;
const MAILS_PER_ADDRESS_AND_DAY = 10;
const MAILS_PER_NETWORK_AND_QUARTER = 20;

/**
 * Bounds how many mails clients can have sent, to one address and by one network, over all flows and all instances
 * together. Each mail of a typed code allows five guesses, so this bounds the guesses of codes as well. Whether an account
 * has the address does not matter, so a refusal does not tell.
 */
@Injectable()
export class MailLimitsService {
  constructor(
    private readonly config: Config,
    private readonly counters: Counters,
  ) {}

  /**
   * Counts a mail that a client asks for. Call it after validation, and before anything is looked up.
   *
   * @param address canonical
   * @param networks see `networksOf`
   * @throws TooManyAttemptsError what was counted has been given back
   * @throws TemporarilyUnavailableError when the counters cannot be reached
   */
  async countMail(address: string, networks: readonly string[]): Promise<void> {
    if (!this.config.limits.isOn) {
      return;
    }
    const takes = takesOf(address, networks);
    await takeAll(this.counters, takes, 'mails to this address or by this network');
  }
}

function takesOf(address: string, networks: readonly string[]): readonly Take[] {
  return [
    ...takesOfNetworks(networks, {
      name: 'mail-network',
      points: 1,
      limit: MAILS_PER_NETWORK_AND_QUARTER,
      windowSeconds: QUARTER_SECONDS,
    }),
    {
      name: 'mail-address',
      key: address,
      points: 1,
      limit: MAILS_PER_ADDRESS_AND_QUARTER,
      windowSeconds: QUARTER_SECONDS,
    },
    {
      name: 'mail-address-day',
      key: address,
      points: 1,
      limit: MAILS_PER_ADDRESS_AND_DAY,
      windowSeconds: DAY_SECONDS,
    },
  ];
}
