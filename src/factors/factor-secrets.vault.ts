import { Injectable, Logger } from '@nestjs/common';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { seal, unseal } from '../platform/common/sealed-box.js';
import { ServerKeys } from '../platform/common/server-keys.js';
import type { SealedSecret, StoredTotp } from './totp-factors.repository.js';

/** Encrypts and decrypts the secrets of authenticator apps, under the keys derived from `AUTH_SECRET`. */
@Injectable()
export class FactorSecretsVault {
  private readonly logger = new Logger(FactorSecretsVault.name);

  constructor(private readonly serverKeys: ServerKeys) {}

  /** The id of the key that `seal` encrypts under. */
  get currentKeyId(): number {
    return this.serverKeys.current.id;
  }

  /** Encrypts under the current secret. */
  seal(secret: Buffer, factor: Pick<StoredTotp, 'id' | 'userId'>): SealedSecret {
    const { id, factorEncryptionKey } = this.serverKeys.current;
    return { secretEncrypted: seal(secret, nameOf(factor), factorEncryptionKey), encryptionKeyId: id };
  }

  /**
   * Decrypts the secret of a user who wants to prove it. One that cannot be decrypted is an alarm, and never "no factor".
   *
   * @throws TemporarilyUnavailableError when no secret that is configured decrypts it
   */
  open(factor: StoredTotp): Buffer {
    const secret = this.tryToOpen(factor);
    if (secret === undefined) {
      this.logger.error({
        event: 'factor_unreadable',
        msg:
          'the secret of an authenticator app cannot be decrypted, so its user cannot sign in with it; list the secret that it ' +
          'was encrypted under in AUTH_SECRET_ACCEPTED',
        user_id: factor.userId,
      });
      throw new TemporarilyUnavailableError('the secret of the factor cannot be decrypted');
    }
    return secret;
  }

  /** @returns undefined when no secret that is configured decrypts it */
  tryToOpen(factor: StoredTotp): Buffer | undefined {
    const serverKey = this.serverKeys.find(factor.encryptionKeyId);
    try {
      return serverKey && unseal(factor.secretEncrypted, nameOf(factor), serverKey.factorEncryptionKey);
    } catch {
      return undefined;
    }
  }
}

/** What the secret is bound to: it is of no use in the row of another user or factor. */
function nameOf({ id, userId }: Pick<StoredTotp, 'id' | 'userId'>): string {
  return `${userId} ${id}`;
}
