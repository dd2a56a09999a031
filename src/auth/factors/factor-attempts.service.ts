import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { SecondFactorInvalidError } from '../../factors/factors.errors.js';
import { CodeAttemptsService } from '../../limits/code-attempts.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { DatabaseService } from '../../platform/database/database.service.js';
import { UsersService } from '../../users/users.service.js';
import type { Client } from '../auth.types.js';

/** As many wrong ones in a row are no mistake of the user: another person has the password, or a session. */
const WRONG_BEFORE_WARNING = 10;

/** Counts the proofs of second factors of a user, wherever they are asked for, and warns the user of guesses. */
@Injectable()
export class FactorAttemptsService {
  private readonly logger = new Logger(FactorAttemptsService.name);

  constructor(
    private readonly attempts: CodeAttemptsService,
    private readonly users: UsersService,
    private readonly outbox: OutboxService,
    private readonly database: DatabaseService,
    private readonly clock: Clock,
  ) {}

  /**
   * Counts an attempt before it is judged, see `CodeAttemptsService.countAttempt`. A right password resets nothing here.
   *
   * @param judge throws SecondFactorInvalidError for a wrong proof
   * @throws TooManyAttemptsError before the proof was judged
   */
  countAttempt<T>(userId: string, client: Client, judge: () => Promise<T>): Promise<T> {
    return this.attempts.countAttempt(
      { kind: 'factor', userId, networks: client.networks },
      judge,
      (error) => error instanceof SecondFactorInvalidError,
      (wrongInARow) => (wrongInARow === WRONG_BEFORE_WARNING ? this.tryToWarn(userId) : Promise.resolve()),
    );
  }

  /** A failure changes no answer. */
  private async tryToWarn(userId: string): Promise<void> {
    const mailId = randomUUID();
    try {
      await this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          await this.outbox.enqueue(transaction, {
            id: mailId,
            template: 'second_factor_failures',
            recipient: user?.email,
            locale: user?.locale,
            params: { at: this.clock.now().toISOString() },
          });
        }),
      );
      this.outbox.wake();
    } catch (error) {
      this.logger.warn({
        event: 'second_factor_warning_failed',
        msg: 'a user could not be warned of wrong second factors',
        reason: error instanceof Error ? error.name : '',
      });
    }
  }
}
