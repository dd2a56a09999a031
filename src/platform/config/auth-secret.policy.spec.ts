import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';
import fc from 'fast-check';

import { authSecret, authSecretList, isFitSecret, TEST_KIT_SECRET } from './auth-secret.policy.js';

const random = 'V9mJqPzn_0xLbVJ3-UvF8sYt2hKcQe7RgWd5aXo1TiM';

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

  it('is long enough at 32 bytes, counted as its encoding counts them', () => {
    expect(isFitSecret(randomBytes(31).toString('base64url'))).toBe(false);
    expect(isFitSecret(randomBytes(31).toString('base64'))).toBe(false);
    expect(isFitSecret(randomBytes(31).toString('hex'))).toBe(false);
  });

  it.each([
    ['a passphrase', 'correct horse battery staple again and again'],
    ['a passphrase with hyphens', 'correct-horse-battery-staple-again-and-again'],
    ['a passphrase in title case', 'Correct-Horse-Battery-Staple-Again-And-Again'],
    ['a passphrase in one word', 'CorrectHorseBatteryStapleAgainAndAgainAndAgain'],
    ['a passphrase in another language', 'dasIstEinSehrGeheimesPasswortFuerDenServer2026'],
    ['a sentence with a year', 'ThisIsAVeryLongSecretThatNobodyWillEverGuess2026'],
    ['the name of what it is for', 'ratchet-production-auth-secret-2026-11-27-acme-corp'],
    ['counted words', 'SuperSecretKey123SuperSecretKey456SuperSecretKey789'],
    ['the rows of a keyboard', '1234567890qwertyuiopASDFGHJKLzxcvbnm1234567890'],
    ['one repeated character', 'a'.repeat(64)],
    ['few different characters', '0110100110010110100101100110100110010110011010010110100110010110'],
    ['a repeated word', 'hunter2-Xq'.repeat(5)],
    ['a repeated word that is cut off', 'correct-Horse-7_correct-Horse-7_correct-Horse'],
    ['a placeholder in a sentence', 'your-secret-key-here-at-least-32-bytes-long-please'],
    ['a placeholder in capitals', 'CHANGE_ME_TO_A_RANDOM_STRING_OF_32_BYTES_PLEASE'],
    ['a tutorial secret', 'my-super-secret-jwt-signing-key-for-development-only'],
    ['the alphabet', 'abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJ'],
    ['the alphabet backwards', 'zyxwvutsrqponmlkjihgfedcba9876543210ZYXWVUTSRQ'],
    ['a surrounding space', ` ${random}`],
    ['a newline at the end', `${random}\n`],
    ['a newline inside', `${random}\n${random}`],
    ['a comma, since it could not be retired through the comma-separated list', `${random},${random}`],
    ['a mixture of base64 and base64url', `${random}+/-_`],
  ])('is refused for %s', (_reason, text) => {
    expect(authSecret.parse(text)).toBeUndefined();
  });
});

describe('the public secret of the test kit', () => {
  it('is refused as current and as accepted secret, and the refusal says why', () => {
    const lists = [TEST_KIT_SECRET, `${random}, ${TEST_KIT_SECRET}`];
    expect([authSecret.parse(TEST_KIT_SECRET), ...lists.map((list) => authSecretList.parse(list))]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([authSecret.explain?.(TEST_KIT_SECRET), ...lists.map((list) => authSecretList.explain?.(list))]).toEqual(
      Array(3).fill('must not be the public secret of the test kit'),
    );
    expect([authSecret.explain?.('short'), authSecretList.explain?.('short')]).toEqual([undefined, undefined]);
  });
});

describe('the accepted secrets', () => {
  const first = random;
  const second = 'u8Ei2Oa5Qy7Xw1Zv3Kj6Hf9Dd4Ss0P_lN5bT1rC7yMs';

  it('are separated by commas, spaces around them do not count and duplicates do no harm', () => {
    expect(authSecretList.parse(`${first}, ${second},${first}`)).toEqual(
      [first, second, first].map((text) => Buffer.from(text)),
    );
  });

  it.each([`${first},`, `${first},short`, `${first},${'a'.repeat(40)}`])('are each judged like AUTH_SECRET', (text) => {
    expect(authSecretList.parse(text)).toBeUndefined();
  });
});
