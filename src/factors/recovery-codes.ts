import { createHash, randomBytes } from 'node:crypto';
import { ScureBase32Plugin } from 'otplib';
import { RECOVERY_CODES } from './factors.types.js';

/** 80 bits: too many to guess, also for who has the hashes. */
const CODE_BYTES = 10;

const COMPACT_CODE = /^[A-Za-z2-7]{16}$/;

const base32 = new ScureBase32Plugin();

/** Makes a set of codes, as they are shown once: four groups of four base32 characters. */
export function newRecoveryCodes(): readonly string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const code = base32.encode(randomBytes(CODE_BYTES), { padding: false });
    return code.replace(/.{4}(?=.)/g, '$&-');
  });
}

/**
 * Returns what is stored of a code. The codes outlive `AUTH_SECRET`, so no key takes part in it; the random bits of the code
 * are enough.
 *
 * @param userId canonical
 * @param code in any case, with spaces and dashes anywhere
 * @returns undefined for text that is no code
 */
export function hashOfRecoveryCode(userId: string, code: string): Buffer | undefined {
  const compact = code.replace(/[\s-]/g, '');
  return COMPACT_CODE.test(compact)
    ? createHash('sha256').update(userId).update(compact.toUpperCase()).digest()
    : undefined;
}
