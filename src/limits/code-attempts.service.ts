import { Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Config } from '../platform/config/config.js';
import { passGate } from './attempt-gate.js';
import { type CounterChange, Counters, type Take } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';
import { takesOfNetworks } from './network-takes.js';
import { takeAll } from './take-all.js';

const DAY_SECONDS = 86_400;

/** As many as one ticket has. */
const WRONG_CODES_BEFORE_DELAY = 5;

const WRONG_FACTORS_PER_NETWORK = 100;
const NETWORK_WINDOW_SECONDS = 15 * 60;

/** Whose guesses count together, over all flows, tickets and instances. */
export type CodeAttempt =
  /** The codes that an address is sent, whether or not it has an account. */
  | { readonly kind: 'code'; /** Canonical. */ readonly address: string }
  /** The second factors of a user. */
  | { readonly kind: 'factor'; readonly userId: string; readonly networks: readonly string[] };

/**
 * Slows down the guessing of codes: of those that an address is sent, and of the second factors of a user. Passwords count
 * elsewhere: a right one frees no guess of a code.
 */
@Injectable()
export class CodeAttemptsService {
  private readonly logger = new Logger(CodeAttemptsService.name);

  constructor(
    private readonly config: Config,
    private readonly counters: Counters,
  ) {}

  /**
   * Counts an attempt before it is judged. One whose code was right clears the count; one that was not judged, because the
   * ticket was dead or the database was lost, counts for nothing. From the fifth wrong one in a row, the address or the user
   * admits one attempt per delay (see `attemptDelaySeconds`). A network has 100 wrong factors in 15 minutes besides.
   *
   * @param judge throws unless the code was right
   * @param isWrong whether what `judge` has thrown says that the code was wrong
   * @param onWrong gets how many were wrong in a row, this one among them
   * @throws TooManyAttemptsError before the code was judged
   * @throws TemporarilyUnavailableError when the counters cannot be reached before the code was judged. After that their
   *   failure changes no answer: what was judged has happened.
   */
  async countAttempt<T>(
    attempt: CodeAttempt,
    judge: () => Promise<T>,
    isWrong: (error: unknown) => boolean,
    onWrong?: (wrongInARow: number) => Promise<void>,
  ): Promise<T> {
    if (!this.config.limits.isOn) {
      return judge();
    }
    const ofNetworks = takesOfItsNetworks(attempt);
    const inARow = inARowTake(attempt);
    const { takes, number } = await this.admit(attempt, ofNetworks, inARow);
    let result: T;
    try {
      result = await judge();
    } catch (error) {
      if (isWrong(error)) {
        await onWrong?.(number);
      } else {
        await this.tryToChange([...ofNetworks, ...takes].map(giveBack));
      }
      throw error;
    }
    const cleared = [inARow, ...takes].map((take): CounterChange => ({ ...take, kind: 'reset' }));
    await this.tryToChange([...ofNetworks.map(giveBack), ...cleared]);
    return result;
  }

  /**
   * Counts a proof that tells by itself whose it is, so that nobody's count is known before it is judged: by the networks only,
   * together with the wrong second factors of all users. One that was right or was not judged counts for nothing.
   *
   * @param judge throws unless the proof was right
   * @param isWrong whether what `judge` has thrown says that the proof was wrong
   * @throws TooManyAttemptsError before the proof was judged
   */
  async countAnonymousAttempt<T>(
    networks: readonly string[],
    judge: () => Promise<T>,
    isWrong: (error: unknown) => boolean,
  ): Promise<T> {
    if (!this.config.limits.isOn) {
      return judge();
    }
    const takes = takesOfFactors(networks);
    await takeAll(this.counters, takes, 'wrong second factors from this network');
    let isCounted = false;
    try {
      return await judge();
    } catch (error) {
      isCounted = isWrong(error);
      throw error;
    } finally {
      if (!isCounted) {
        await this.tryToChange(takes.map(giveBack));
      }
    }
  }

  private async tryToChange(changes: readonly CounterChange[]): Promise<void> {
    try {
      await this.counters.change(changes);
    } catch (error) {
      this.logger.warn({
        event: 'code_attempts_not_cleared',
        msg: 'a count of wrong codes could not be cleared; the next codes may be delayed',
        reason: messageOf(error),
      });
    }
  }

  /** @returns what the attempt has taken besides that of its networks, and its number in a row */
  private async admit(
    attempt: CodeAttempt,
    ofNetworks: readonly Take[],
    inARow: Take,
  ): Promise<{ readonly takes: readonly Take[]; readonly number: number }> {
    if (ofNetworks.length > 0) {
      await takeAll(this.counters, ofNetworks, 'wrong second factors from this network');
    }
    try {
      const [taken] = await this.counters.take([inARow]);
      if (taken?.isTaken === true) {
        return { takes: [inARow], number: taken.points };
      }
      const { takes, delaySeconds, delayNumber } = await passGate(this.counters, attempt.kind, inARow.key);
      if (takes === undefined) {
        throw new TooManyAttemptsError(`wrong ${attempt.kind}s in a row`, delaySeconds);
      }
      return { takes, number: inARow.limit + delayNumber };
    } catch (error) {
      await this.counters.change(ofNetworks.map(giveBack));
      throw error;
    }
  }
}

function inARowTake(attempt: CodeAttempt): Take {
  const counter =
    attempt.kind === 'code'
      ? { name: 'code-address', key: attempt.address }
      : { name: 'factor-user', key: attempt.userId };
  return { ...counter, points: 1, limit: WRONG_CODES_BEFORE_DELAY - 1, windowSeconds: DAY_SECONDS };
}

function takesOfItsNetworks(attempt: CodeAttempt): readonly Take[] {
  return attempt.kind === 'code' ? [] : takesOfFactors(attempt.networks);
}

function takesOfFactors(networks: readonly string[]): readonly Take[] {
  return takesOfNetworks(networks, {
    name: 'factor-network',
    points: 1,
    limit: WRONG_FACTORS_PER_NETWORK,
    windowSeconds: NETWORK_WINDOW_SECONDS,
  });
}

function giveBack(take: Take): CounterChange {
  return { ...take, kind: 'give_back' };
}
