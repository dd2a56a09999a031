import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decryptPrivateKey, encryptPrivateKey } from './signing-key.cipher.js';

describe('a private key at rest', () => {
  const encryptionKey = randomBytes(32);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encrypted = encryptPrivateKey(privateKey, 'kid', encryptionKey);

  it('comes back as it was', () => {
    expect(decryptPrivateKey(encrypted, 'kid', encryptionKey).equals(privateKey)).toBe(true);
  });

  it('is unreadable under another key or another key id', () => {
    expect(() => decryptPrivateKey(encrypted, 'kid', randomBytes(32))).toThrow();
    expect(() => decryptPrivateKey(encrypted, 'other', encryptionKey)).toThrow();
  });

  it('is unreadable when any byte of it has changed, or some are missing', () => {
    for (const index of [0, 11, 12, 27, 28, encrypted.length - 1]) {
      const changed = Buffer.from(encrypted);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(() => decryptPrivateKey(changed, 'kid', encryptionKey)).toThrow();
    }
    for (const length of [0, 12, 20, 28, encrypted.length - 1]) {
      expect(() => decryptPrivateKey(encrypted.subarray(0, length), 'kid', encryptionKey)).toThrow();
    }
  });

  it('looks different every time, and never contains the key', () => {
    expect(encryptPrivateKey(privateKey, 'kid', encryptionKey).equals(encrypted)).toBe(false);
    const { d = '' } = privateKey.export({ format: 'jwk' });
    expect(encrypted.includes(Buffer.from(d, 'base64url'))).toBe(false);
  });
});
