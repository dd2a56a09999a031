import { Injectable } from '@nestjs/common';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import type { JudgedCode } from './factors.types.js';
import { hashOfRecoveryCode, newRecoveryCodes } from './recovery-codes.js';
import { RecoveryCodesRepository } from './recovery-codes.repository.js';

/** A code that one request shows, as often as its transaction is retried. */
export interface PresentedRecoveryCode {
  readonly code: string;
  /** The use of the code by an earlier attempt of the request, which the database may have lost. */
  usedAt?: string;
}

/**
 * Keeps the codes that stand in for a lost factor, each once. Only their hashes are stored, so they can be shown only when
 * they are made. Callers hold the lock on the user's row, except for `countLeft`.
 */
@Injectable()
export class RecoveryCodesService {
  constructor(
    private readonly repository: RecoveryCodesRepository,
    private readonly database: DatabaseService,
  ) {}

  /** Makes ten codes before the transaction that stores them, so that a retry stores the same. */
  newCodes(): readonly string[] {
    return newRecoveryCodes();
  }

  /** Stores codes in place of all that the user had. Idempotent per codes. */
  async replace(transaction: Transaction, userId: string, codes: readonly string[]): Promise<void> {
    const hashes = codes.map((code) => hashOfRecoveryCode(userId, code)).filter((hash) => hash !== undefined);
    await this.repository.replaceCodes(transaction, userId, hashes);
  }

  /** Whether an earlier attempt of the request has stored its codes, and has committed. */
  async hasStored(transaction: Transaction, userId: string, [code = '']: readonly string[]): Promise<boolean> {
    const hash = hashOfRecoveryCode(userId, code);
    return hash !== undefined && (await this.repository.findCode(transaction, userId, hash)) !== undefined;
  }

  async judge(transaction: Transaction, userId: string, presented: PresentedRecoveryCode): Promise<JudgedCode> {
    const hash = hashOfRecoveryCode(userId, presented.code);
    const usedAt = hash && (await this.repository.findCode(transaction, userId, hash));
    // An attempt of this request that has committed, and whose answer was lost, left the code used: it was right.
    const isUsedByItself = typeof usedAt === 'string' && usedAt === presented.usedAt;
    return {
      isRight: usedAt === null || isUsedByItself,
      use: async () => {
        if (hash === undefined || isUsedByItself) {
          return;
        }
        const at = await this.repository.useCode(transaction, userId, hash);
        if (at === undefined) {
          throw new Error('a recovery code was used under the lock on its user');
        }
        presented.usedAt = at;
      },
    };
  }

  countLeft(userId: string, connection: Pick<Transaction, 'query'> = this.database): Promise<number> {
    return this.repository.countLeft(connection, userId);
  }

  async remove(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.removeCodes(transaction, userId);
  }
}
