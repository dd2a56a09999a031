import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from './sealed-box.js';

describe('a secret at rest', () => {
  const key = randomBytes(32);
  const secret = randomBytes(20);
  const sealed = seal(secret, 'row', key);

  it('comes back as it was', () => {
    expect(unseal(sealed, 'row', key)).toEqual(secret);
  });

  it('is unreadable under another key or the name of another row', () => {
    expect(() => unseal(sealed, 'row', randomBytes(32))).toThrow();
    expect(() => unseal(sealed, 'other', key)).toThrow();
  });

  it('is unreadable when any byte of it has changed, or some are missing', () => {
    for (const index of sealed.keys()) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(() => unseal(changed, 'row', key)).toThrow();
    }
    for (const length of [0, 12, 20, 28, sealed.length - 1]) {
      expect(() => unseal(sealed.subarray(0, length), 'row', key)).toThrow();
    }
  });

  it('looks different every time, and never contains the secret', () => {
    expect(seal(secret, 'row', key).equals(sealed)).toBe(false);
    expect(sealed.includes(secret)).toBe(false);
  });
});
