import { describe, expect, it } from 'vitest';
import { CommonPasswordsService } from './common-passwords.service.js';
import { checkNewPassword, encodePassword, type NewPasswordRules } from './password-policy.js';

const rules: NewPasswordRules = { minLengthCodePoints: 8, commonPasswords: new Set(['password1', 'iloveyou']) };

function verdict(password: string): string {
  const checked = checkNewPassword(password, rules);
  return checked.kind === 'refused' ? checked.violation : checked.kind;
}

describe('encodePassword', () => {
  it('gives one result for the composed and the decomposed form', () => {
    expect(encodePassword('cafe\u0301 noir')).toEqual(encodePassword('caf\u00e9 noir'));
  });

  it('keeps every character, NUL and outer spaces included', () => {
    expect(encodePassword(' a\u0000b\n ')).toEqual({
      kind: 'encoded',
      text: ' a\u0000b\n ',
      bytes: Buffer.from([0x20, 0x61, 0x00, 0x62, 0x0a, 0x20]),
    });
  });

  it('refuses a lone surrogate rather than hash it as another one', () => {
    expect(encodePassword('secret \ud800')).toEqual({ kind: 'refused', violation: 'not_unicode' });
    expect(encodePassword('\udc00 secret')).toEqual({ kind: 'refused', violation: 'not_unicode' });
    expect(encodePassword('secret \u{1f600}').kind).toBe('encoded');
  });

  it('accepts 1024 bytes and refuses one more', () => {
    expect(encodePassword('a'.repeat(1024)).kind).toBe('encoded');
    expect(encodePassword('a'.repeat(1025))).toEqual({ kind: 'refused', violation: 'too_many_bytes' });
    expect(encodePassword('€'.repeat(342))).toEqual({ kind: 'refused', violation: 'too_many_bytes' });
  });

  it('holds the byte limit after normalisation too, which can lengthen a text', () => {
    const hebrewLetterThatComesApart = '\ufb2c';
    expect(Buffer.byteLength(hebrewLetterThatComesApart.repeat(341))).toBeLessThanOrEqual(1024);
    expect(encodePassword(hebrewLetterThatComesApart.repeat(341))).toEqual({
      kind: 'refused',
      violation: 'too_many_bytes',
    });
  });
});

describe('checkNewPassword', () => {
  it.each([
    ['the shortest allowed', 'k7mq2vzt', 'encoded'],
    ['one character fewer', 'k7mq2vz', 'too_short'],
    ['nothing', '', 'too_short'],
    ['seven emoji, although they are fourteen UTF-16 units', '🐢'.repeat(7), 'too_short'],
    ['eight emoji', '🐢'.repeat(8), 'encoded'],
    ['seven letters decomposed into fourteen code points', 'e\u0301'.repeat(7), 'too_short'],
    ['128 characters', '🐢'.repeat(128), 'encoded'],
    ['129 characters', 'x'.repeat(129), 'too_long'],
    ['a common password', 'iloveyou', 'too_common'],
    ['a common password in capitals', 'PassWord1', 'too_common'],
    ['a common password with a space behind', 'iloveyou ', 'encoded'],
    ['only spaces', ' '.repeat(8), 'encoded'],
    ['only NULs', '\u0000'.repeat(8), 'encoded'],
    ['a lone surrogate', 'k7mq2vzt\ud800', 'not_unicode'],
  ])('judges %s', (_reason, password, expected) => {
    expect(verdict(password)).toBe(expected);
  });

  it('holds another minimum when one is configured', () => {
    const strict = { ...rules, minLengthCodePoints: 15 };
    expect(checkNewPassword('fourteen chars', strict)).toEqual({ kind: 'refused', violation: 'too_short' });
    expect(checkNewPassword('fifteen chars !', strict).kind).toBe('encoded');
  });
});

describe('CommonPasswordsService', () => {
  it('knows the passwords that are tried first, all in lower case', async () => {
    const commonPasswords = await new CommonPasswordsService().load();
    expect(commonPasswords.size).toBeGreaterThan(40_000);
    const triedFirst = ['password', '12345678', '1qaz2wsx', 'letmein', 'qwertyuiop'];
    expect(triedFirst.filter((password) => !commonPasswords.has(password))).toEqual([]);
    expect([...commonPasswords].filter((password) => password !== password.toLowerCase())).toEqual([]);
  });
});
