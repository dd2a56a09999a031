import { Injectable } from '@nestjs/common';
import { RecoveryCodesService } from '../../factors/recovery-codes.service.js';
import { NotFoundError } from '../../platform/common/domain.errors.js';
import type { Identity } from '../auth.types.js';
import { FactorChangesService } from './factor-changes.service.js';

/** Replaces the recovery codes of a user. */
@Injectable()
export class RecoveryCodeSetsService {
  constructor(
    private readonly recoveryCodes: RecoveryCodesService,
    private readonly changes: FactorChangesService,
  ) {}

  /**
   * Makes ten new codes; those that the user had are worthless from then on.
   *
   * @throws NotFoundError for a user without a second factor, which codes could stand in for
   * @throws InsufficientUserAuthenticationError, AccountDisabledError
   */
  async renew(identity: Identity): Promise<readonly string[]> {
    const prepared = this.changes.prepare();
    await this.changes.carryOut(identity, {
      apply: async (transaction, user) => {
        if (user.secondFactors.length === 0) {
          throw new NotFoundError('the user has no second factor');
        }
        this.changes.requireAuthentication(identity, user);
        await this.changes.renewRecoveryCodes(transaction, user, prepared);
        return { endedIds: [] };
      },
      isApplied: (transaction) => this.recoveryCodes.hasStored(transaction, identity.userId, prepared.recoveryCodes),
    });
    return prepared.recoveryCodes;
  }
}
