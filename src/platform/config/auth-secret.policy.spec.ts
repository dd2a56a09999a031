import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';
import fc from 'fast-check';

import { authSecret, authSecretList, isFitSecret } from './auth-secret.policy.js';

describe('a secret', () => {
  it.each(['base64', 'base64url', 'hex'] as const)('drawn at random and written in %s is always fit', (encoding) => {
    fc.assert(
      fc.property(fc.integer({ min: 32, max: 64 }), (length) => isFitSecret(randomBytes(length).toString(encoding))),
    );
  });

  it('is used as the UTF-8 bytes of its text, whatever encoding that looks like', () => {
    const text = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
    expect(authSecret.parse(text)).toEqual(Buffer.from(text, 'utf8'));
  });

  it('is long enough at 32 bytes, counted in bytes and not in characters', () => {
    expect(isFitSecret('k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-')).toBe(false);
    expect(isFitSecret('k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-s')).toBe(true);
    expect(isFitSecret('k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0Jä')).toBe(true);
  });

  it('may carry a label, which does not count towards its length', () => {
    expect(isFitSecret('prod-secret-k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-s')).toBe(true);
    expect(isFitSecret('secret-password-k3Vq9Zx7Lm2Rt8Wp5Yn1B')).toBe(false);
  });

  it.each([
    ['one repeated character', 'a'.repeat(64)],
    ['few different characters', '0110100110010110100101100110100111010'],
    ['a repeated word', 'hunter2-Xq'.repeat(5)],
    ['a repeated word that is cut off', 'correct-Horse-7!correct-Horse-7!correct-Ho'],
    ['a repeated placeholder', 'changeme'.repeat(4)],
    ['a placeholder in a sentence', 'your-secret-key-here-at-least-32-bytes-long'],
    ['a placeholder in capitals', 'CHANGE_ME_TO_A_RANDOM_STRING_OF_32_BYTES'],
    ['a tutorial secret', 'my-super-secret-jwt-signing-key-for-development-only'],
    ['the alphabet', 'abcdefghijklmnopqrstuvwxyz0123456789'],
    ['the alphabet backwards', 'zyxwvutsrqponmlkjihgfedcba9876543210'],
    ['a surrounding space', ' k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-sTu'],
    ['a newline inside', 'k3Vq9Zx7Lm2Rt8Wp\n5Yn1Bc6Hd4Fg0J-sTu'],
    ['a comma, since it could not be retired through the comma-separated list', 'k3Vq9Zx7Lm2Rt8,Wp5Yn1Bc6Hd4Fg0J-sTu'],
  ])('is refused for %s', (_reason, text) => {
    expect(authSecret.parse(text)).toBeUndefined();
  });
});

describe('the accepted secrets', () => {
  const first = 'k3Vq9Zx7Lm2Rt8Wp5Yn1Bc6Hd4Fg0J-s';
  const second = 'u8Ei2Oa5Qy7Xw1Zv3Kj6Hf9Dd4Ss0P_l';

  it('are separated by commas, spaces around them do not count and duplicates do no harm', () => {
    expect(authSecretList.parse(`${first}, ${second},${first}`)).toEqual(
      [first, second, first].map((text) => Buffer.from(text)),
    );
  });

  it.each([`${first},`, `${first},short`, `${first},${'a'.repeat(40)}`])('are each judged like AUTH_SECRET', (text) => {
    expect(authSecretList.parse(text)).toBeUndefined();
  });
});
