import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { Config } from '../platform/config/config.js';
import { OnceAMinute } from '../platform/logging/once-a-minute.js';
import { ATTEMPTS_BEFORE_DELAY } from './attempt-delay.policy.js';
import { passGate } from './attempt-gate.js';
import { type CounterChange, Counters, type Take, type Taken } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';
import { takesOfNetworks } from './network-takes.js';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;

/**
 * An office or a mobile carrier shares an address, so a network gets more than an account: 100 wrong passwords, or 1,000
 * right ones, each of which costs a hash.
 */
const POINTS_PER_NETWORK = 1_000;
const NETWORK_WINDOW_SECONDS = 15 * 60;
const POINTS_PER_ATTEMPT = 10;
const POINTS_PER_RIGHT_PASSWORD = 1;

/** Each right one opens a session, which leaves a row until its absolute end. */
const ATTEMPTS_PER_ACCOUNT_AND_HOUR = 100;

/** Wrong passwords in a row, of one session, or from one place where the account has signed in before. */
const OWN_ALLOWANCE = 10;
const FAMILIAR_SECONDS = 30 * DAY_SECONDS;

/** When attempts in flight use up a limit, it takes about as long until they are judged. */
const IN_FLIGHT_RETRY_SECONDS = 2;

export interface PasswordAttempt {
  /** The canonical e-mail, or what was sent in its place, whether or not there is such an account. */
  readonly account: string;
  /** See `networksOf`. */
  readonly networks: readonly string[];
  /** The live session in which the password is asked for; none at a login. */
  readonly sessionId?: string;
}

/** Says which counters an attempt that was admitted has used, besides those of its networks and its account. */
interface Admission {
  readonly kind: 'free' | 'own' | 'delayed';
  readonly takes: readonly Take[];
}

/**
 * Slows down the guessing of passwords, per account and per client network, over all instances together. Every path
 * that checks a password goes through it.
 *
 * An attempt is counted **before** its password is checked, and mostly taken back when it was right: 200 parallel guesses
 * at a limit of 10 get 10 answers. What is refused before it was judged counts for nothing.
 *
 * From the tenth wrong one in a row, an account admits one attempt per delay (see `attemptDelaySeconds`); a right
 * password resets this. There is no lock that only an operator could open, because any client could then lock out any
 * user. For the same reason an account under attack has an allowance of its own for places where it has signed in before
 * and for each live session, which no one elsewhere can use up.
 */
@Injectable()
export class PasswordAttemptsService {
  private readonly logger = new Logger(PasswordAttemptsService.name);
  /** How many attempts of a network or an account this instance is judging. */
  private readonly inFlight = new Map<string, number>();
  /** The limits refuse thousands a minute during an attack. */
  private readonly refusals: OnceAMinute;

  constructor(
    private readonly config: Config,
    private readonly counters: Counters,
    clock: Clock,
  ) {
    this.refusals = new OnceAMinute(clock);
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
    const common = commonTakes(attempt);
    const admission = await this.admit(attempt, common);
    const leave = this.enter(attempt);
    let isCorrect: boolean;
    try {
      isCorrect = await check();
    } catch (error) {
      await this.counters.change([...common, ...admission.takes].map(giveBack));
      throw error;
    } finally {
      leave();
    }
    if (isCorrect) {
      await this.counters.change(changesAfterRightPassword(attempt, admission));
    }
    return isCorrect;
  }

  /** @throws TooManyAttemptsError having given back what was taken */
  private async admit(attempt: PasswordAttempt, common: readonly Take[]): Promise<Admission> {
    const first = attempt.sessionId === undefined ? inARowTake(attempt) : sessionTake(attempt.sessionId);
    const takes = [...common, first];
    const taken = await this.counters.take(takes);
    const isTaken = (take: Take): boolean => taken[takes.indexOf(take)]?.isTaken === true;
    try {
      common.forEach((take, index) => {
        this.requireTaken(take, taken[index]);
      });
      if (isTaken(first)) {
        return { kind: attempt.sessionId === undefined ? 'free' : 'own', takes: [first] };
      }
      return await this.admitUnderAttack(attempt);
    } catch (error) {
      await this.counters.change(takes.filter(isTaken).map(giveBack));
      throw error;
    }
  }

  private requireTaken(take: Take, taken: Taken | undefined): void {
    if (taken === undefined || taken.isTaken) {
      return;
    }
    const isOfNetwork = take.name === NETWORK_COUNTER;
    const retained = isOfNetwork ? POINTS_PER_RIGHT_PASSWORD : take.points;
    const inFlight = (this.inFlight.get(take.key) ?? 0) * (take.points - retained);
    if (taken.points - inFlight + take.points <= take.limit) {
      throw new TooManyAttemptsError('attempts in flight', IN_FLIGHT_RETRY_SECONDS);
    }
    this.warnOnceAMinute(take);
    throw new TooManyAttemptsError(
      isOfNetwork ? 'attempts from this network' : 'attempts at this account',
      taken.remainingSeconds,
    );
  }

  /** Decides about an account that has had too many wrong passwords in a row, or such a session. */
  private async admitUnderAttack(attempt: PasswordAttempt): Promise<Admission> {
    if (attempt.sessionId !== undefined) {
      throw new TooManyAttemptsError('wrong passwords in this session', HOUR_SECONDS);
    }
    if (await this.counters.has(familiarPlace(attempt))) {
      const own = familiarTake(attempt);
      const [taken] = await this.counters.take([own]);
      if (taken?.isTaken === true) {
        return { kind: 'own', takes: [own] };
      }
    }
    const { takes, delaySeconds } = await passGate(this.counters, 'password', attempt.account);
    if (takes === undefined) {
      throw new TooManyAttemptsError(
        'wrong passwords for this account',
        this.inFlight.has(attempt.account) ? IN_FLIGHT_RETRY_SECONDS : delaySeconds,
      );
    }
    this.logger.warn({
      event: 'password_attempts_delayed',
      msg: 'an account admits one more attempt, and then none until the delay is over',
      delay_seconds: delaySeconds,
    });
    return { kind: 'delayed', takes };
  }

  private warnOnceAMinute({ name, key }: Take): void {
    const untold = this.refusals.tell('password attempts');
    if (untold === undefined) {
      return;
    }
    this.logger.warn({
      event: 'password_attempts_exceeded',
      ...(untold > 0 && { untold }),
      ...(name === NETWORK_COUNTER
        ? {
            msg: 'too many logins from one network; if it is a proxy of yours, list it in TRUSTED_PROXIES',
            network: key,
          }
        : { msg: 'too many logins of one account' }),
    });
  }

  /** @returns call it when the attempt has been judged */
  private enter({ account, networks }: PasswordAttempt): () => void {
    const keys = [account, ...networks];
    keys.forEach((key) => this.inFlight.set(key, (this.inFlight.get(key) ?? 0) + 1));
    return () => {
      for (const key of keys) {
        const left = (this.inFlight.get(key) ?? 1) - 1;
        if (left === 0) {
          this.inFlight.delete(key);
        } else {
          this.inFlight.set(key, left);
        }
      }
    };
  }
}

const NETWORK_COUNTER = 'password-network';

/** What every attempt takes, right or wrong. */
function commonTakes({ account, networks }: PasswordAttempt): readonly Take[] {
  return [
    ...takesOfNetworks(networks, {
      name: NETWORK_COUNTER,
      points: POINTS_PER_ATTEMPT,
      limit: POINTS_PER_NETWORK,
      windowSeconds: NETWORK_WINDOW_SECONDS,
    }),
    {
      name: 'password-account-hour',
      key: account,
      points: 1,
      limit: ATTEMPTS_PER_ACCOUNT_AND_HOUR,
      windowSeconds: HOUR_SECONDS,
    },
  ];
}

function inARowTake({ account }: PasswordAttempt): Take {
  return {
    name: 'password-account',
    key: account,
    points: 1,
    limit: ATTEMPTS_BEFORE_DELAY - 1,
    windowSeconds: DAY_SECONDS,
  };
}

function sessionTake(sessionId: string): Take {
  return { name: 'password-session', key: sessionId, points: 1, limit: OWN_ALLOWANCE, windowSeconds: HOUR_SECONDS };
}

function familiarTake(attempt: PasswordAttempt): Take {
  return {
    name: 'password-familiar',
    key: familiarPlace(attempt).key,
    points: 1,
    limit: OWN_ALLOWANCE,
    windowSeconds: HOUR_SECONDS,
  };
}

/**
 * Names an account and a network from which it has signed in. The second network of an IPv6 address, because a provider
 * gives a household another /64 now and then.
 */
function familiarPlace({ account, networks }: PasswordAttempt): Pick<Take, 'name' | 'key'> {
  return { name: 'password-place', key: `${account}\n${networks[1] ?? networks[0] ?? ''}` };
}

function giveBack(take: Take): CounterChange {
  return { ...take, kind: 'give_back' };
}

/**
 * Leaves a network what a right password costs. Clearing its counter would let an attacker reset it by logging in to an
 * account of their own. An attempt on an allowance of its own leaves the delays of the account as they are, because the
 * attacker who caused them has not gone away.
 */
function changesAfterRightPassword(attempt: PasswordAttempt, admission: Admission): readonly CounterChange[] {
  const ofNetworks = attempt.networks.map((key): CounterChange => {
    return { name: NETWORK_COUNTER, key, kind: 'give_back', points: POINTS_PER_ATTEMPT - POINTS_PER_RIGHT_PASSWORD };
  });
  const cleared = admission.kind === 'delayed' ? [...admission.takes, inARowTake(attempt)] : admission.takes;
  return [
    ...ofNetworks,
    ...cleared.map((take): CounterChange => ({ ...take, kind: 'reset' })),
    { ...familiarPlace(attempt), kind: 'set', points: 1, windowSeconds: FAMILIAR_SECONDS },
  ];
}
