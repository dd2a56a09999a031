import { Injectable } from '@nestjs/common';
import { SecondFactorInvalidError } from '../../factors/factors.errors.js';
import type { TotpEnrolment } from '../../factors/factors.types.js';
import { type PresentedTotp, TotpFactorsService } from '../../factors/totp-factors.service.js';
import { NotFoundError } from '../../platform/common/domain.errors.js';
import type { Client, Identity } from '../auth.types.js';
import { CODE_METHODS } from './code-verifiers.service.js';
import { FactorAttemptsService } from './factor-attempts.service.js';
import { type FactorChanged, FactorChangesService } from './factor-changes.service.js';

/** Adds the authenticator app of a user, and removes it. */
@Injectable()
export class TotpEnrolmentsService {
  constructor(
    private readonly totpFactors: TotpFactorsService,
    private readonly changes: FactorChangesService,
    private readonly attempts: FactorAttemptsService,
  ) {}

  /**
   * Makes a secret for an app. It counts for nothing until its first code; a factor that the user has stays until then.
   *
   * @throws InsufficientUserAuthenticationError, AccountDisabledError
   */
  async begin(identity: Identity): Promise<TotpEnrolment> {
    const secret = this.totpFactors.newSecret(identity.userId);
    const { enrolment } = await this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        this.changes.requireAuthentication(identity, user);
        return { enrolment: await this.totpFactors.begin(transaction, secret, user.email), endedIds: [] };
      },
      // It is idempotent, and changes nothing that it asks for.
      isApplied: () => Promise.resolve(false),
    });
    return enrolment;
  }

  /**
   * Makes the secret that was asked for the factor of the user, if the code of their app is right. The sign-in has to be as
   * recent as it had to be when the secret was asked for. A wrong code counts as one at a sign-in does.
   *
   * @throws SecondFactorInvalidError, TooManyAttemptsError, InsufficientUserAuthenticationError, AccountDisabledError
   * @throws NotFoundError when no secret was asked for within 600 seconds
   */
  async confirm(identity: Identity, code: string, client: Client): Promise<FactorChanged> {
    const presented: PresentedTotp = { code };
    const prepared = this.changes.prepare();
    const confirm = (): Promise<FactorChanged> =>
      this.changes.carryOut(identity, {
        apply: async (transaction, user) => {
          const pending = await this.totpFactors.findPending(transaction, user.id);
          if (pending === undefined) {
            throw new NotFoundError('no secret waits for its first code');
          }
          this.changes.requireAuthentication(identity, user, pending.askedAtSeconds);
          if (!(await this.totpFactors.confirm(transaction, pending, presented))) {
            throw new SecondFactorInvalidError('a wrong code for a secret that is not confirmed');
          }
          return this.changes.recordAddition(transaction, user, identity, {
            factor: 'totp',
            methods: CODE_METHODS,
            prepared,
          });
        },
        isApplied: (transaction) => this.totpFactors.hasUsed(transaction, identity.userId, presented),
      });
    return this.attempts.countAttempt(identity.userId, client, confirm);
  }

  /**
   * Removes the app of the user.
   *
   * @throws NotFoundError, InsufficientUserAuthenticationError, AccountDisabledError
   */
  async remove(identity: Identity): Promise<void> {
    const { mailId } = this.changes.prepare();
    await this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        if (!user.secondFactors.includes('totp')) {
          throw new NotFoundError('the user has no authenticator app');
        }
        this.changes.requireAuthentication(identity, user);
        await this.totpFactors.remove(transaction, user.id);
        await this.changes.recordRemoval(transaction, user, { factor: 'totp', hasMore: false, mailId });
        return { endedIds: [] };
      },
      isApplied: (transaction) => this.totpFactors.isAbsent(transaction, identity.userId),
    });
  }
}
