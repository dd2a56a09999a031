import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RecoveryCodesService } from '../../factors/recovery-codes.service.js';
import type { MailTemplate } from '../../mail/mail-templates.types.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { AccountDisabledError } from '../../platform/common/domain.errors.js';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { AuthenticationMethod } from '../../tokens/tokens.types.js';
import { UsersService } from '../../users/users.service.js';
import { type LockedUser, SECOND_FACTORS, type SecondFactor } from '../../users/users.types.js';
import { AccessTokenRevokedError } from '../auth.errors.js';
import type { Identity } from '../auth.types.js';
import { demandOfChange, requireAuthentication } from '../authentication-demand.js';
import { UserTurnsService } from '../user-turns.service.js';

/** A change of a user's factors that one request asks for, as often as its transaction is retried. */
export interface FactorChange<T> {
  /** Carries the change out. Throws before it has changed anything, if it cannot. */
  apply(transaction: Transaction, user: LockedUser): Promise<T>;
  /** Whether an earlier attempt of the request has carried it out, and has committed. */
  isApplied(transaction: Transaction): Promise<boolean>;
}

/** What a change of factors may make, before its first attempt, so that a retry makes nothing twice. */
export interface PreparedChange {
  readonly recoveryCodes: readonly string[];
  readonly mailId: string;
}

/** What a change of factors has done. */
export interface FactorChanged {
  /** Shown to the user once; undefined when they keep those that they have. */
  readonly recoveryCodes: readonly string[] | undefined;
  /** To be announced after the commit. */
  readonly endedIds: readonly string[];
}

/** Does what goes with every change of a user's factors: what it asks for, what it ends, and whom it tells. */
@Injectable()
export class FactorChangesService {
  constructor(
    private readonly recoveryCodes: RecoveryCodesService,
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly outbox: OutboxService,
    private readonly database: DatabaseService,
    private readonly databaseClock: DatabaseClock,
    private readonly clock: Clock,
    private readonly turns: UserTurnsService,
  ) {}

  prepare(): PreparedChange {
    return { recoveryCodes: this.recoveryCodes.newCodes(), mailId: randomUUID() };
  }

  /**
   * Runs a change under the lock on the user's row, and settles its outcome.
   *
   * @throws AccountDisabledError, AccessTokenRevokedError, and what the change throws
   */
  async carryOut<T extends Pick<FactorChanged, 'endedIds'>>(identity: Identity, change: FactorChange<T>): Promise<T> {
    let applied: T | undefined;
    const changed = await this.turns.run(identity.userId, () =>
      this.database.settle(() =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, identity.userId);
          if (user === undefined) {
            throw new AccessTokenRevokedError('the account has been deleted');
          }
          if (user.status === 'disabled') {
            throw new AccountDisabledError();
          }
          // What an attempt has changed would refuse its retry: it asks for more of a user who has a factor.
          if (applied === undefined || !(await change.isApplied(transaction))) {
            applied = await change.apply(transaction, user);
          }
          return applied;
        }),
      ),
    );
    this.tokens.announceEnded(changed.endedIds);
    this.outbox.wake();
    return changed;
  }

  /**
   * Asks for a sign-in of the last 300 seconds, and by two factors of a user who has one.
   *
   * @param user as locked by the transaction that makes the change
   * @param atSeconds the instant by which the sign-in is judged, since the epoch, by the database's clock
   * @throws InsufficientUserAuthenticationError
   */
  requireAuthentication(identity: Identity, user: LockedUser, atSeconds = this.databaseClock.nowSeconds()): void {
    requireAuthentication(identity, demandOfChange(user), atSeconds);
  }

  /**
   * Records a factor that the caller has stored, and that its user has just proved in the session that asked: the session is
   * stepped up. With the first factor of a user all other sessions end, and the user gets recovery codes.
   *
   * @param user as locked by this transaction
   * @throws AccessTokenRevokedError when the session has ended
   */
  async recordAddition(
    transaction: Transaction,
    user: LockedUser,
    identity: Identity,
    {
      factor,
      methods,
      prepared,
    }: {
      readonly factor: SecondFactor;
      readonly methods: readonly AuthenticationMethod[];
      readonly prepared: PreparedChange;
    },
  ): Promise<FactorChanged> {
    const isFirst = user.secondFactors.length === 0;
    await this.users.setSecondFactors(
      transaction,
      user.id,
      SECOND_FACTORS.filter((kind) => kind === factor || user.secondFactors.includes(kind)),
    );
    if (isFirst) {
      await this.recoveryCodes.replace(transaction, user.id, prepared.recoveryCodes);
    }
    if ((await this.tokens.stepUp(transaction, user, identity.sessionId, methods)) === undefined) {
      throw new AccessTokenRevokedError('the session ended while the factor was added');
    }
    const ended = isFirst
      ? await this.tokens.endSessionsOfUser(transaction, user.id, 'factors_changed', { exceptId: identity.sessionId })
      : undefined;
    await this.tell(transaction, user, prepared.mailId, 'factor_added', { factor });
    return { recoveryCodes: isFirst ? prepared.recoveryCodes : undefined, endedIds: ended?.allEndedIds ?? [] };
  }

  /**
   * Records that the caller has removed a factor. The recovery codes go with the last one.
   *
   * @param user as locked by this transaction
   * @param hasMore whether the user has another factor of the kind
   */
  async recordRemoval(
    transaction: Transaction,
    user: LockedUser,
    { factor, hasMore, mailId }: { readonly factor: SecondFactor; readonly hasMore: boolean; readonly mailId: string },
  ): Promise<void> {
    const kept = user.secondFactors.filter((kind) => kind !== factor || hasMore);
    await this.users.setSecondFactors(transaction, user.id, kept);
    if (kept.length === 0) {
      await this.recoveryCodes.remove(transaction, user.id);
    }
    await this.tell(transaction, user, mailId, 'factor_removed', { factor });
  }

  /**
   * Gives the user new recovery codes in place of all that they had.
   *
   * @param user as locked by this transaction
   */
  async renewRecoveryCodes(
    transaction: Transaction,
    user: LockedUser,
    { recoveryCodes, mailId }: PreparedChange,
  ): Promise<void> {
    await this.users.setSecondFactors(transaction, user.id, user.secondFactors);
    await this.recoveryCodes.replace(transaction, user.id, recoveryCodes);
    await this.tell(transaction, user, mailId, 'recovery_codes_renewed', {});
  }

  private async tell(
    transaction: Transaction,
    user: LockedUser,
    id: string,
    template: MailTemplate,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.outbox.enqueue(transaction, {
      id,
      template,
      recipient: user.email,
      locale: user.locale,
      params: { ...params, at: this.clock.now().toISOString() },
    });
  }
}
