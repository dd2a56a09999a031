import { createPrivateKey, type KeyObject } from 'node:crypto';
import { seal, unseal } from '../platform/common/sealed-box.js';

/**
 * Encrypts a private key at rest: its PKCS #8 DER, bound to its `kid` (see `seal`).
 *
 * @param encryptionKey 32 bytes
 */
export function encryptPrivateKey(privateKey: KeyObject, kid: string, encryptionKey: Buffer): Buffer {
  return seal(privateKey.export({ type: 'pkcs8', format: 'der' }), kid, encryptionKey);
}

/** @throws Error when the bytes, the `kid` or the key are not those of the encryption */
export function decryptPrivateKey(encrypted: Buffer, kid: string, encryptionKey: Buffer): KeyObject {
  return createPrivateKey({ key: unseal(encrypted, kid, encryptionKey), type: 'pkcs8', format: 'der' });
}
