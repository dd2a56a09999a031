import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { DatabaseService, type Transaction } from '../platform/database/database.service.js';
import { FactorSecretsVault } from './factor-secrets.vault.js';
import type { JudgedCode, TotpEnrolment, TotpFactor } from './factors.types.js';
import { newTotpSecret, otpauthUri, stepOfTotp, textOfTotpSecret } from './totp.js';
import { type StoredTotp, type TotpAtNow, TotpFactorsRepository } from './totp-factors.repository.js';

/** How long a secret that an app has taken waits for its first code. */
const UNCONFIRMED_SECONDS = 600;

/** A code that one request shows, as often as its transaction is retried. */
export interface PresentedTotp {
  readonly code: string;
  /** The use of the code by an earlier attempt of the request, which the database may have lost. */
  usedAt?: string;
}

/** A secret that waits for its first code. */
export interface PendingTotp {
  readonly factor: TotpAtNow;
  /** When it was asked for, since the epoch, by the database's clock. */
  readonly askedAtSeconds: number;
}

/**
 * Keeps the authenticator apps of users, one each, and judges their codes (RFC 6238) by the database's clock. Callers hold the
 * lock on the user's row, except for `describe`.
 */
@Injectable()
export class TotpFactorsService {
  private readonly issuer: string;

  constructor(
    private readonly repository: TotpFactorsRepository,
    private readonly vault: FactorSecretsVault,
    private readonly database: DatabaseService,
    { factors }: Config,
  ) {
    this.issuer = factors?.totpIssuer ?? '';
  }

  /** Makes a secret before the transaction that stores it, so that a retry stores the same. */
  newSecret(userId: string): StoredTotp & { readonly secret: Buffer } {
    const factor = { id: randomUUID(), userId };
    const secret = newTotpSecret();
    return { ...factor, ...this.vault.seal(secret, factor), secret };
  }

  /**
   * Stores a secret that counts for nothing until `confirm`. It replaces one that was not confirmed; a factor that the user has
   * stays until then. Idempotent per secret.
   *
   * @param account names the user in their app
   */
  async begin(
    transaction: Transaction,
    { secret, ...stored }: StoredTotp & { readonly secret: Buffer },
    account: string,
  ): Promise<TotpEnrolment> {
    await this.repository.replaceUnconfirmed(transaction, stored);
    return { secret: textOfTotpSecret(secret), otpauthUri: otpauthUri(secret, { issuer: this.issuer, account }) };
  }

  /** @returns undefined when no secret was asked for within 600 seconds */
  async findPending(transaction: Transaction, userId: string): Promise<PendingTotp | undefined> {
    const factor = await this.repository.findUnconfirmed(transaction, userId, UNCONFIRMED_SECONDS);
    return factor && { factor, askedAtSeconds: factor.createdAtSeconds };
  }

  /**
   * Makes a secret the factor of its user, in place of the one before, if the code is right; the code is used up.
   *
   * @returns whether it was right
   * @throws TemporarilyUnavailableError when the secret cannot be decrypted
   */
  async confirm(transaction: Transaction, { factor }: PendingTotp, presented: PresentedTotp): Promise<boolean> {
    const { isRight, use } = this.judgeBy(transaction, factor, presented);
    if (isRight) {
      await use();
      await this.repository.confirm(transaction, factor);
    }
    return isRight;
  }

  /** Whether an earlier attempt of the request has used the code that it shows, and has committed. */
  async hasUsed(transaction: Transaction, userId: string, { usedAt }: PresentedTotp): Promise<boolean> {
    return usedAt !== undefined && (await this.repository.findConfirmed(transaction, userId))?.lastUsedAt === usedAt;
  }

  /**
   * Judges a code by the factor that the user has confirmed. Without one every code is wrong.
   *
   * @throws TemporarilyUnavailableError when the secret cannot be decrypted
   */
  async judge(transaction: Transaction, userId: string, presented: PresentedTotp): Promise<JudgedCode> {
    const factor = await this.repository.findConfirmed(transaction, userId);
    return factor === undefined
      ? { isRight: false, use: () => Promise.resolve() }
      : this.judgeBy(transaction, factor, presented);
  }

  /** Removes the factor of a user, and a secret that waits. */
  async remove(transaction: Transaction, userId: string): Promise<void> {
    await this.repository.remove(transaction, userId);
  }

  /** Whether the user has no factor. */
  async isAbsent(transaction: Transaction, userId: string): Promise<boolean> {
    return (await this.repository.findConfirmed(transaction, userId)) === undefined;
  }

  async describe(userId: string): Promise<TotpFactor | undefined> {
    const found = await this.repository.describe(this.database, userId);
    return found && { createdAt: found.createdAt, lastUsedAt: found.lastUsedAt ?? undefined };
  }

  private judgeBy(transaction: Transaction, factor: TotpAtNow, presented: PresentedTotp): JudgedCode {
    // An attempt of this request that has committed, and whose answer was lost, left the step used: it was right.
    if (presented.usedAt !== undefined && factor.lastUsedAt === presented.usedAt) {
      return { isRight: true, use: () => Promise.resolve() };
    }
    const { lastStep, nowSeconds } = factor;
    const step = stepOfTotp(presented.code, { secret: this.vault.open(factor), lastStep, nowSeconds });
    return {
      isRight: step !== undefined,
      use: async () => {
        const at = step === undefined ? undefined : await this.repository.useStep(transaction, factor.id, step);
        if (step === undefined || at === undefined) {
          throw new Error('a step was used under the lock on its user');
        }
        presented.usedAt = at;
      },
    };
  }
}
