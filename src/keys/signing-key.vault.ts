import type { KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ServerKeys } from '../platform/common/server-keys.js';
import { SigningKeyAlteredError, SigningKeyUnreadableError } from './keys.errors.js';
import type { StoredKey } from './keys.types.js';
import { decryptPrivateKey, encryptPrivateKey } from './signing-key.cipher.js';
import { thumbprintOf } from './signing-key.generator.js';

/** Private keys on their way into the database and out of it, under the keys derived from `AUTH_SECRET`. */
@Injectable()
export class SigningKeyVault {
  constructor(private readonly serverKeys: ServerKeys) {}

  /** Encrypts under the current secret. */
  seal(privateKey: KeyObject, kid: string): Pick<StoredKey, 'privateKeyEncrypted' | 'encryptionKeyId'> {
    const { id, signingKeyEncryptionKey } = this.serverKeys.current;
    return {
      privateKeyEncrypted: encryptPrivateKey(privateKey, kid, signingKeyEncryptionKey),
      encryptionKeyId: id,
    };
  }

  /**
   * Only the service can have made what this returns: `kid` is the thumbprint of the public half, and part of what the
   * cipher authenticates. So write access to the database without `AUTH_SECRET` cannot make the service trust a key.
   *
   * @throws SigningKeyAlteredError, SigningKeyUnreadableError when no secret that is configured decrypts it
   */
  open({ kid, publicJwk, privateKeyEncrypted, encryptionKeyId }: StoredKey): KeyObject {
    if (thumbprintOf(publicJwk) !== kid) {
      throw new SigningKeyAlteredError(kid);
    }
    const serverKey = this.serverKeys.find(encryptionKeyId);
    if (serverKey === undefined) {
      throw new SigningKeyUnreadableError(kid);
    }
    try {
      return decryptPrivateKey(privateKeyEncrypted, kid, serverKey.signingKeyEncryptionKey);
    } catch (error) {
      throw new SigningKeyUnreadableError(kid, { cause: error });
    }
  }

  /** Whether a key is encrypted under the current secret rather than under one that is only accepted. */
  isCurrent({ encryptionKeyId }: Pick<StoredKey, 'encryptionKeyId'>): boolean {
    return encryptionKeyId === this.serverKeys.current.id;
  }
}
