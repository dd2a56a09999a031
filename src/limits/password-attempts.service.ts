import { Injectable, Logger } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { ATTEMPTS_BEFORE_DELAY, attemptDelaySeconds } from './attempt-delay.policy.js';
import { type Counter, Counters } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';

const DAY_SECONDS = 86_400;

/** An office or a mobile carrier shares an address, so a network gets more than an account. */
const ATTEMPTS_PER_NETWORK = 100;
const NETWORK_WINDOW_SECONDS = 15 * 60;

export interface PasswordAttempt {
  /** The canonical e-mail, or what was sent in its place, whether or not there is such an account. */
  readonly account: string;
  /** See `networkOf`. */
  readonly network: string;
}

/**
 * Slows down the guessing of passwords, per account and per client network, over all instances together. Every path
 * that checks a password goes through it.
 *
 * An attempt is counted **before** its password is checked, and taken back when it was right: 200 parallel guesses at a
 * limit of 10 get 10 answers. From the tenth wrong one in a row, an account admits one attempt per delay (see
 * `attemptDelaySeconds`); a right password resets this. There is no lock that only an operator could open, because any
 * client could then lock out any user.
 */
@Injectable()
export class PasswordAttemptsService {
  private readonly logger = new Logger(PasswordAttemptsService.name);
  private readonly byNetwork: Counter;
  private readonly inARow: Counter;
  /** Allows one attempt per delay. */
  private readonly gate: Counter;
  private readonly delays: Counter;

  constructor(
    private readonly config: Config,
    counters: Counters,
  ) {
    this.byNetwork = counters.counter({
      name: 'password-network',
      limit: ATTEMPTS_PER_NETWORK,
      windowSeconds: NETWORK_WINDOW_SECONDS,
    });
    this.inARow = counters.counter({
      name: 'password-account',
      limit: ATTEMPTS_BEFORE_DELAY - 1,
      windowSeconds: DAY_SECONDS,
    });
    this.gate = counters.counter({ name: 'password-gate', limit: 1, windowSeconds: attemptDelaySeconds(1) });
    this.delays = counters.counter({
      name: 'password-delay',
      limit: Number.MAX_SAFE_INTEGER,
      windowSeconds: DAY_SECONDS,
    });
  }

  /**
   * Counts an attempt, checks its password, and takes the attempt back if the password was right.
   *
   * @param check whether the password is right; when it throws (a full queue, a lost database), the attempt is not
   *   counted
   * @returns what `check` returns
   * @throws TooManyAttemptsError before the password was checked
   * @throws TemporarilyUnavailableError when the counters cannot be reached
   */
  async countAttempt(attempt: PasswordAttempt, check: () => Promise<boolean>): Promise<boolean> {
    if (!this.config.limits.isOn) {
      return check();
    }
    await this.enterNetwork(attempt.network);
    const entry = await this.enterAccount(attempt.account);
    let isCorrect: boolean;
    try {
      isCorrect = await check();
    } catch (error) {
      await this.takeBack(attempt, entry);
      throw error;
    }
    if (isCorrect) {
      await this.forget(attempt, entry);
    }
    return isCorrect;
  }

  private async enterNetwork(network: string): Promise<void> {
    const taken = await this.byNetwork.take(network);
    if (taken.kind === 'exceeded') {
      if (taken.count === ATTEMPTS_PER_NETWORK + 1) {
        this.logger.warn({
          event: 'password_attempts_exceeded',
          msg: 'too many wrong passwords from one network; if it is a proxy of yours, list it in TRUSTED_PROXIES',
          network,
        });
      }
      throw new TooManyAttemptsError('wrong passwords from this network', taken.retryAfterSeconds);
    }
  }

  /** `delayed`: the attempt is the one that the gate allows until the next delay is over. */
  private async enterAccount(account: string): Promise<'free' | 'delayed'> {
    if ((await this.inARow.take(account)).kind === 'taken') {
      return 'free';
    }
    // The gate closes for the shortest delay in the statement that decides; only the attempt it allowed may lengthen
    // it.
    const allowed = await this.gate.take(account);
    if (allowed.kind === 'exceeded') {
      throw new TooManyAttemptsError('wrong passwords for this account', allowed.retryAfterSeconds);
    }
    const { count } = await this.delays.take(account);
    const delaySeconds = attemptDelaySeconds(count);
    await this.gate.close(account, delaySeconds);
    this.logger.warn({
      event: 'password_attempts_delayed',
      msg: 'an account admits one more attempt, and then none until the delay is over',
      delay_seconds: delaySeconds,
    });
    return 'delayed';
  }

  private async takeBack({ account, network }: PasswordAttempt, entry: 'free' | 'delayed'): Promise<void> {
    await Promise.all([
      this.byNetwork.giveBack(network),
      ...(entry === 'free'
        ? [this.inARow.giveBack(account)]
        : [this.gate.reset(account), this.delays.giveBack(account)]),
    ]);
  }

  /**
   * Returns only this attempt's point to the network. Clearing its counter would let an attacker reset it by logging in
   * to an account of their own.
   */
  private async forget({ account, network }: PasswordAttempt, entry: 'free' | 'delayed'): Promise<void> {
    await Promise.all([
      this.byNetwork.giveBack(network),
      this.inARow.reset(account),
      ...(entry === 'free' ? [] : [this.gate.reset(account), this.delays.reset(account)]),
    ]);
  }
}
