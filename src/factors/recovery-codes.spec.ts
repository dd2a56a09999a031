import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hashOfRecoveryCode, newRecoveryCodes } from './recovery-codes.js';

const USER = '2ae1a4de-8d71-4f45-a7d2-9d9c578bf564';
const OTHER = '9b2f6c1e-6f0a-4c39-8f5e-0d4f1f2a7c11';

describe('recovery codes', () => {
  it('come as ten different ones of 80 random bits, in groups of four', () => {
    const codes = newRecoveryCodes();
    expect(codes).toHaveLength(10);
    expect(new Set([...codes, ...newRecoveryCodes()]).size).toBe(20);
    for (const code of codes) {
      expect(code).toMatch(/^[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}$/);
    }
  });

  // A change here would make every code that has been written down worthless.
  it('are stored as the SHA-256 of the user id and the code', () => {
    expect(hashOfRecoveryCode(USER, 'ABCD-EFGH-IJKL-MN23')).toEqual(
      createHash('sha256').update(`${USER}ABCDEFGHIJKLMN23`).digest(),
    );
  });

  it('are the same in lower case, with spaces and without dashes', () => {
    const hash = hashOfRecoveryCode(USER, 'ABCD-EFGH-IJKL-MN23');
    for (const typed of [
      'abcd-efgh-ijkl-mn23',
      'ABCDEFGHIJKLMN23',
      ' abcd efgh\tijklmn-23\n',
      'A-B-C-D-EFGHIJKLMN23',
    ]) {
      expect(hashOfRecoveryCode(USER, typed)).toEqual(hash);
    }
  });

  it('belong to one user', () => {
    expect(hashOfRecoveryCode(OTHER, 'ABCD-EFGH-IJKL-MN23')).not.toEqual(
      hashOfRecoveryCode(USER, 'ABCD-EFGH-IJKL-MN23'),
    );
  });

  it('are no other text', () => {
    for (const text of [
      '',
      'ABCD-EFGH-IJKL-MN2',
      'ABCD-EFGH-IJKL-MN234',
      'ABCD-EFGH-IJKL-MN21',
      'ABCD_EFGH_IJKL_MN23',
      'ſBCD-EFGH-IJKL-MN23',
      'A'.repeat(65_536),
    ]) {
      expect(hashOfRecoveryCode(USER, text)).toBeUndefined();
    }
  });
});
