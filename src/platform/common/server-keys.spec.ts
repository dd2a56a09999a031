import { describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import { Config } from '../config/config.js';
import { deriveServerKey, ServerKeys } from './server-keys.js';

const CURRENT = Buffer.from('auth-secret-of-the-tests-k3Zp9QxV7rT2mW8sL4bN');
const FORMER = Buffer.from('auth-secret-of-the-tests-Yq5Hn8RbC2dJ6vKtA9wE');

/** Another secret whose one-byte id is that of `secret`. */
function secretWithSameIdAs(secret: Buffer): Buffer {
  const { id } = deriveServerKey(secret);
  for (let count = 0; ; count += 1) {
    const candidate = Buffer.from(`auth-secret-of-the-tests-${String(count).padStart(20, '0')}`);
    if (deriveServerKey(candidate).id === id) {
      return candidate;
    }
  }
}

async function keysOf(current: Buffer, accepted: readonly Buffer[]): Promise<ServerKeys> {
  const module = await Test.createTestingModule({
    providers: [ServerKeys, { provide: Config, useValue: { secrets: { current, accepted } } }],
  }).compile();
  return module.get(ServerKeys);
}

describe('deriving the keys of a secret', () => {
  // By another implementation of RFC 5869: a change here would end every session and lose every signing key.
  it('gives the keys that tokens, tickets and stored keys were made with', () => {
    const { id, ...keys } = deriveServerKey(CURRENT);
    expect(id).toBe(133);
    expect(Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, key.toString('hex')]))).toEqual({
      refreshTokenMacKey: '5896c4bccf62ef71ea2b0a62bdbbcb8da20754d2a8562b8fac20550ad4b637d9',
      signingKeyEncryptionKey: 'eb0be49483e70a3e0ff5dadc79f6cfb20e21491d4187e15c3e11b1a608d9f05f',
      ticketMacKey: '4987db82dafbe4417673b1b8aa9996fb86b04bb7c60ab28e33a29a73b38c9664',
      ticketDerivationKey: 'c25fde53dc8f0d9491b6cc9facb69fdcc41757c39f8be0459286fbd7a381b0f8',
      factorEncryptionKey: '525924995d52e6e84a5b4b7dea8081990266227e58a5f2f6875c51a72853e416',
    });
  });

  it('gives each purpose a key of its own, and none of them to two secrets', () => {
    const keys = [CURRENT, FORMER].flatMap((secret) => {
      const derived = Object.values(deriveServerKey(secret)).filter((value) => Buffer.isBuffer(value));
      expect(derived).toHaveLength(5);
      return [secret, ...derived].map((key) => key.toString('hex'));
    });
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('uses every byte of the secret', () => {
    const shorter = deriveServerKey(CURRENT.subarray(0, -1));
    expect(shorter.refreshTokenMacKey).not.toEqual(deriveServerKey(CURRENT).refreshTokenMacKey);
  });
});

describe('the server keys', () => {
  it('mint with AUTH_SECRET and find it and every accepted one by id', async () => {
    const keys = await keysOf(CURRENT, [FORMER]);
    expect(keys.current).toEqual(deriveServerKey(CURRENT));
    expect(keys.find(deriveServerKey(CURRENT).id)).toEqual(deriveServerKey(CURRENT));
    expect(keys.find(deriveServerKey(FORMER).id)).toEqual(deriveServerKey(FORMER));
  });

  it('do not find a secret that is no longer accepted', async () => {
    const keys = await keysOf(CURRENT, []);
    expect(keys.find(deriveServerKey(FORMER).id)).toBeUndefined();
  });

  it('take a secret that is listed twice for one', async () => {
    const keys = await keysOf(CURRENT, [CURRENT, FORMER, FORMER]);
    expect(keys.current).toEqual(deriveServerKey(CURRENT));
    expect(keys.find(deriveServerKey(FORMER).id)).toEqual(deriveServerKey(FORMER));
  });

  it('refuse two different secrets of one id, wherever they stand, and say neither', async () => {
    const twin = secretWithSameIdAs(CURRENT);
    for (const accepted of [[twin], [FORMER, twin], [FORMER, secretWithSameIdAs(FORMER)]]) {
      const refusal = await keysOf(CURRENT, accepted).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Error);
      expect(String(refusal)).toMatch(/share a key id/);
      expect(String(refusal)).not.toContain('auth-secret-of-the-tests');
    }
  });
});
