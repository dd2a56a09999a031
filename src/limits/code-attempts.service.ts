import { Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../platform/common/message-of.js';
import { Config } from '../platform/config/config.js';
import { passGate } from './attempt-gate.js';
import { type CounterChange, Counters, type Take } from './counter.js';
import { TooManyAttemptsError } from './limits.errors.js';

const DAY_SECONDS = 86_400;

/** As many as one ticket has. */
const WRONG_CODES_BEFORE_DELAY = 5;

/**
 * Slows down the guessing of the codes that an address is sent, over all flows, tickets and instances together. Passwords
 * count elsewhere: a right one frees no guess of a code. Whether the address has an account does not matter.
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
   * ticket was dead or the database was lost, counts for nothing. From the fifth wrong one in a row, the address admits one
   * attempt per delay (see `attemptDelaySeconds`).
   *
   * @param address canonical
   * @param judge throws unless the code was right
   * @param isWrong whether what `judge` has thrown says that the code was wrong
   * @throws TooManyAttemptsError before the code was judged
   * @throws TemporarilyUnavailableError when the counters cannot be reached before the code was judged. After that their
   *   failure changes no answer: what was judged has happened.
   */
  async countAttempt<T>(address: string, judge: () => Promise<T>, isWrong: (error: unknown) => boolean): Promise<T> {
    if (!this.config.limits.isOn) {
      return judge();
    }
    const inARow: Take = {
      name: 'code-address',
      key: address,
      points: 1,
      limit: WRONG_CODES_BEFORE_DELAY - 1,
      windowSeconds: DAY_SECONDS,
    };
    const takes = await this.admit(inARow);
    let result: T;
    try {
      result = await judge();
    } catch (error) {
      if (!isWrong(error)) {
        await this.tryToChange(takes.map((take) => ({ ...take, kind: 'give_back' })));
      }
      throw error;
    }
    await this.tryToChange([inARow, ...takes].map((take) => ({ ...take, kind: 'reset' })));
    return result;
  }

  private async tryToChange(changes: readonly CounterChange[]): Promise<void> {
    try {
      await this.counters.change(changes);
    } catch (error) {
      this.logger.warn({
        event: 'code_attempts_not_cleared',
        msg: 'the count of wrong codes of an address could not be cleared; its next codes may be delayed',
        reason: messageOf(error),
      });
    }
  }

  private async admit(inARow: Take): Promise<readonly Take[]> {
    const [taken] = await this.counters.take([inARow]);
    if (taken?.isTaken === true) {
      return [inARow];
    }
    const { takes, delaySeconds } = await passGate(this.counters, 'code', inARow.key);
    if (takes === undefined) {
      throw new TooManyAttemptsError('wrong codes for this address', delaySeconds);
    }
    return takes;
  }
}
