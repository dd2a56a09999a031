import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { FactorRemovalsService } from '../../factors/factor-removals.service.js';
import { OutboxService } from '../../mail/outbox.service.js';
import { Clock } from '../../platform/common/clock.js';
import { NotFoundError } from '../../platform/common/domain.errors.js';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import { DatabaseService, type Transaction } from '../../platform/database/database.service.js';
import { TokensService } from '../../tokens/tokens.service.js';
import type { RevokeReason } from '../../tokens/tokens.types.js';
import { InvalidCredentialsError } from '../../users/users.errors.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser, SecondFactor } from '../../users/users.types.js';
import { AccessTokenIssuer } from '../access-tokens/access-token.issuer.js';
import { joinMethods } from '../acr.types.js';
import type { Client, Identity, TokenPair } from '../auth.types.js';
import { demandOfChange, requireAuthentication } from '../authentication-demand.js';
import { UserTurnsService } from '../user-turns.service.js';
import { KnownClientsService } from '../sessions/known-clients.service.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { SignInsService } from '../sessions/sign-ins.service.js';

/** A change loses to a rehash at most once, because the parameters do not change between two attempts. */
const PASSWORD_CHANGE_ATTEMPTS = 3;

/** Makes the changes to an account that its sessions must not survive. */
@Injectable()
export class AccountsService {
  constructor(
    private readonly users: UsersService,
    private readonly tokens: TokensService,
    private readonly sessions: SessionsService,
    private readonly signIns: SignInsService,
    private readonly issuer: AccessTokenIssuer,
    private readonly database: DatabaseService,
    private readonly turns: UserTurnsService,
    private readonly outbox: OutboxService,
    private readonly knownClients: KnownClientsService,
    private readonly factors: FactorRemovalsService,
    private readonly clock: Clock,
    private readonly databaseClock: DatabaseClock,
  ) {}

  /**
   * Changes the password and ends every session, including the caller's, because a thief may hold a copy of its token.
   * The caller gets a new one, whose authentication is this check of the current password, now. Where mail is on, the
   * user is told. A user who has a second factor has to have proved it lately in this session, and the new one keeps that.
   *
   * @throws ValidationFailedError, InvalidCredentialsError, AccountDisabledError, TooManyAttemptsError, OverloadedError
   * @throws InsufficientUserAuthenticationError the password stays
   */
  async changePassword(
    identity: Identity,
    currentPassword: string,
    newPassword: string,
    client: Client,
  ): Promise<TokenPair> {
    this.issuer.requireKey();
    const { userId } = identity;
    for (let attempt = 1; attempt <= PASSWORD_CHANGE_ATTEMPTS; attempt += 1) {
      const { verifiedHash, newHash } = await this.users.prepareNewPassword(
        identity,
        currentPassword,
        newPassword,
        client,
      );
      const signIn = this.signIns.newSignIn(userId);
      const mailId = randomUUID();
      const changed = await this.settleInTurn(userId, () =>
        this.database.transaction(async (transaction) => {
          const user = await this.users.lockUser(transaction, userId);
          const hasFactors = user !== undefined && user.secondFactors.length > 0;
          if (hasFactors) {
            requireAuthentication(identity, demandOfChange(user), this.databaseClock.nowSeconds());
          }
          const replacement = await this.users.replacePasswordHash(transaction, userId, verifiedHash, newHash);
          if (user?.status !== 'active' || replacement === 'superseded') {
            return undefined;
          }
          const spared = { exceptId: signIn.family.id };
          const ended = await this.tokens.endSessionsOfUser(transaction, userId, 'password_changed', spared);
          const methods = hasFactors ? joinMethods(identity.amr, ['pwd']) : (['pwd'] as const);
          const outcome = await this.signIns.open(transaction, user, methods, { ...signIn, client });
          await this.outbox.enqueue(transaction, {
            id: mailId,
            template: 'password_changed',
            recipient: user.email,
            locale: user.locale,
            params: { at: this.clock.now().toISOString() },
          });
          return { outcome, endedIds: ended.allEndedIds };
        }),
      );
      if (changed !== undefined) {
        this.tokens.announceEnded(changed.endedIds);
        this.outbox.wake();
        return this.sessions.conclude(changed.outcome, client);
      }
      // The stored hash has changed since it was verified, by a rehash or another password change; verify again.
    }
    throw new InvalidCredentialsError('the password kept changing');
  }

  /** @throws NotFoundError */
  disable(userId: string): Promise<number> {
    return this.changeAndEndSessions(userId, 'user_disabled', (transaction) =>
      this.users.setStatus(transaction, userId, 'disabled'),
    );
  }

  /**
   * Enables the account. Sessions that disabling ended stay ended.
   *
   * @throws NotFoundError
   */
  async enable(userId: string): Promise<void> {
    await this.settleInTurn(userId, () =>
      this.database.transaction(async (transaction) => {
        if ((await this.users.lockUser(transaction, userId)) === undefined) {
          throw noSuchUser();
        }
        await this.users.setStatus(transaction, userId, 'active');
      }),
    );
  }

  /**
   * Sets a password for an operator, who need not know the old one.
   *
   * @throws NotFoundError, ValidationFailedError
   */
  async setPassword(userId: string, newPassword: string): Promise<number> {
    const newHash = await this.users.hashNewPassword(newPassword);
    return this.changeAndEndSessions(userId, 'password_changed', (transaction) =>
      this.users.setPassword(transaction, userId, newHash),
    );
  }

  /**
   * Removes every second factor and recovery code for an operator, whose user has lost them, and ends every session. The
   * user's tickets die, and the user is told where mail is on: those who talk an operator into it would not tell.
   *
   * @returns which kinds of factors the user had
   * @throws NotFoundError
   */
  async resetFactors(
    userId: string,
  ): Promise<{ readonly endedCount: number; readonly removedKinds: readonly SecondFactor[] }> {
    const mailId = randomUUID();
    let removedKinds: readonly SecondFactor[] = [];
    const endedCount = await this.changeAndEndSessions(userId, 'factors_changed', async (transaction, user) => {
      await this.factors.removeAll(transaction, userId);
      await this.users.setSecondFactors(transaction, userId, []);
      // A retry after a commit whose answer was lost finds none.
      if (user.secondFactors.length > 0) {
        removedKinds = user.secondFactors;
        await this.outbox.enqueueForInstances(transaction, {
          id: mailId,
          template: 'factors_reset',
          recipient: user.email,
          locale: user.locale,
          params: { at: this.clock.now().toISOString() },
        });
      }
    });
    return { endedCount, removedKinds };
  }

  /** @throws NotFoundError */
  endSessions(userId: string): Promise<number> {
    return this.changeAndEndSessions(userId, 'operator', () => Promise.resolve());
  }

  /** @throws NotFoundError also when the account has been deleted already */
  delete(userId: string): Promise<number> {
    return this.changeAndEndSessions(userId, 'user_deleted', async (transaction) => {
      await this.knownClients.forget(transaction, userId);
      await this.factors.removeAll(transaction, userId);
      await this.users.deleteUser(transaction, userId);
    });
  }

  /**
   * Keeps one lock order: first the user's row, then the families, in a later statement whose snapshot includes what
   * others committed while this one waited.
   *
   * @returns how many sessions ended
   */
  private async changeAndEndSessions(
    userId: string,
    reason: RevokeReason,
    change: (transaction: Transaction, user: LockedUser) => Promise<unknown>,
  ): Promise<number> {
    const endedIds = new Set<string>();
    const { isFound, allEndedIds } = await this.settleInTurn(userId, (isRetry) =>
      this.database.transaction(async (transaction) => {
        const user = await this.users.lockUser(transaction, userId);
        const ended = await this.tokens.endSessionsOfUser(transaction, userId, reason);
        // Counted over all attempts: after one whose answer alone was lost, the next finds nothing left to end.
        ended.endedIds.forEach((id) => endedIds.add(id));
        if (user !== undefined) {
          await change(transaction, user);
        }
        const isDeleted = isRetry && reason === 'user_deleted';
        return { isFound: user !== undefined || isDeleted, allEndedIds: ended.allEndedIds };
      }),
    );
    this.tokens.announceEnded(allEndedIds);
    if (!isFound) {
      throw noSuchUser();
    }
    return endedIds.size;
  }

  private settleInTurn<T>(userId: string, attempt: (isRetry: boolean) => Promise<T>): Promise<T> {
    return this.turns.run(userId, () => this.database.settle(attempt));
  }
}

function noSuchUser(): NotFoundError {
  return new NotFoundError('no such user');
}
