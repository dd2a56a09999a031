import { Injectable } from '@nestjs/common';
import type { Transaction } from '../platform/database/database.service.js';
import { FactorRemovalsRepository } from './factor-removals.repository.js';
import type { FactorKind } from './factor-removals.types.js';

/**
 * Removes the factors of a user, whether or not second factors are on now. The caller holds the user's row by `lockUser`, and
 * records there which kinds are left.
 */
@Injectable()
export class FactorRemovalsService {
  constructor(private readonly repository: FactorRemovalsRepository) {}

  /** Removes every factor of a user, an unconfirmed one and the recovery codes among them. */
  async removeAll(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.removeFactors(transaction, userId, undefined);
  }

  /**
   * Removes the factors and recovery codes that were added at an instant of the database or later.
   *
   * @returns the kinds that the user still has
   */
  async removeAddedSince(transaction: Transaction, userId: string, instant: Date): Promise<readonly FactorKind[]> {
    return this.repository.removeFactors(transaction, userId, instant);
  }
}
