import { Injectable } from '@nestjs/common';
import { FactorRemovalsService } from '../../factors/factor-removals.service.js';
import type { Transaction } from '../../platform/database/database.service.js';
import { UsersService } from '../../users/users.service.js';
import type { LockedUser } from '../../users/users.types.js';

/**
 * Takes factors from a user who did not ask for it by one of them: an intruder's when the owner of the mailbox returns, or
 * all of a user whom an operator helps. Each time the user's tickets die; the caller ends the sessions.
 */
@Injectable()
export class FactorEvictionsService {
  constructor(
    private readonly removals: FactorRemovalsService,
    private readonly users: UsersService,
  ) {}

  /**
   * Removes every factor and recovery code. Costs nothing for a user who has no factor.
   *
   * @param user as locked by this transaction
   * @returns the user without factors; their credential version is no longer known
   */
  async evictAll(transaction: Transaction, user: LockedUser): Promise<LockedUser> {
    if (user.secondFactors.length > 0) {
      await this.removals.removeAll(transaction, user.id);
      await this.users.setSecondFactors(transaction, user.id, []);
    }
    return { ...user, secondFactors: [] };
  }

  /**
   * Removes the factors and recovery codes that were added at an instant of the database or later. Costs nothing for a user
   * who has no factor.
   *
   * @param user as locked by this transaction
   */
  async evictAddedSince(transaction: Transaction, user: LockedUser, instant: Date): Promise<void> {
    if (user.secondFactors.length > 0) {
      const kept = await this.removals.removeAddedSince(transaction, user.id, instant);
      await this.users.setSecondFactors(transaction, user.id, kept);
    }
  }
}
