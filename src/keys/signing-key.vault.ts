import type { KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ServerKeys } from '../platform/common/server-keys.js';
import { SigningKeyAlteredError, SigningKeyUnreadableError } from './keys.errors.js';
import type { StoredKey } from './keys.types.js';
import { decryptPrivateKey, encryptPrivateKey } from './signing-key.cipher.js';
import { thumbprintOf } from './signing-key.generator.js';

/** Encrypts and decrypts stored private keys, under the keys derived from `AUTH_SECRET`. */
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
   * Returns only keys that the service made: `kid` is the thumbprint of the public half, and the cipher authenticates
   * it. So an attacker who can write to the database, but has no `AUTH_SECRET`, cannot plant a key.
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
