import { generateSync } from 'otplib';
import { describe, expect, it } from 'vitest';
import { newTotpSecret, otpauthUri, stepOfTotp, textOfTotpSecret } from './totp.js';

/** Half of a step past its beginning. */
const NOW = 1_800_000_015;
const STEP = 60_000_000;

function codeAt(secret: Buffer, epoch: number): string {
  return generateSync({ secret, epoch });
}

describe('a TOTP code', () => {
  const secret = newTotpSecret();

  // RFC 6238 appendix B, whose eight digits end with the six that the same value has.
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('of RFC 6238 at %i is right', (nowSeconds, code) => {
    const rfcSecret = Buffer.from('12345678901234567890');
    expect(stepOfTotp(code, { secret: rfcSecret, lastStep: 0, nowSeconds })).toBe(Math.floor(nowSeconds / 30));
  });

  it('is right for its step and the ones before and after, and for no other, at any second of a step', () => {
    for (const nowSeconds of [STEP * 30, STEP * 30 + 0.25, NOW, STEP * 30 + 29, STEP * 30 + 29.999]) {
      const judged = [-2, -1, 0, 1, 2].map((steps) =>
        stepOfTotp(codeAt(secret, (STEP + steps) * 30), { secret, lastStep: 0, nowSeconds }),
      );
      expect(judged).toEqual([undefined, STEP - 1, STEP, STEP + 1, undefined]);
    }
  });

  it('is wrong once its step or a later one has been used', () => {
    const code = codeAt(secret, NOW);
    expect(stepOfTotp(code, { secret, lastStep: STEP - 1, nowSeconds: NOW })).toBe(STEP);
    for (const lastStep of [STEP, STEP + 1, STEP + 2, 1e12]) {
      expect(stepOfTotp(code, { secret, lastStep, nowSeconds: NOW })).toBeUndefined();
    }
  });

  it('is wrong with another secret', () => {
    expect(stepOfTotp(codeAt(newTotpSecret(), NOW), { secret, lastStep: 0, nowSeconds: NOW })).toBeUndefined();
  });

  it('is no other text', () => {
    const code = codeAt(secret, NOW);
    const arabic = code.replace(/./g, (digit) => String.fromCodePoint(0x660 + Number(digit)));
    for (const text of [
      '',
      ' ',
      code.slice(1),
      `${code}0`,
      ` ${code}`,
      `${code}\n`,
      arabic,
      '-12345',
      '1e5000',
      'abcdef',
    ]) {
      expect(stepOfTotp(text, { secret, lastStep: 0, nowSeconds: NOW })).toBeUndefined();
    }
  });
});

describe('a TOTP secret', () => {
  it('has 160 random bits, which a person can type', () => {
    expect(newTotpSecret()).toHaveLength(20);
    expect(newTotpSecret()).not.toEqual(newTotpSecret());
    expect(textOfTotpSecret(Buffer.from('12345678901234567890'))).toBe('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
  });

  it('reaches an app in a URI that names the service and the account', () => {
    const uri = otpauthUri(Buffer.from('12345678901234567890'), { issuer: 'Läden & Co', account: 'ada+b@example.com' });
    const { protocol, host, pathname, searchParams } = new URL(uri);
    expect([protocol, host]).toEqual(['otpauth:', 'totp']);
    expect(decodeURIComponent(pathname)).toBe('/Läden & Co:ada+b@example.com');
    expect(Object.fromEntries(searchParams)).toEqual({
      secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
      issuer: 'Läden & Co',
    });
  });
});
