import { PASSWORD_MAX_BYTES, PASSWORD_MAX_CODE_POINTS } from './users.types.js';

export type EncodingViolation = 'not_unicode' | 'too_many_bytes';
export type PasswordViolation = EncodingViolation | 'too_short' | 'too_long' | 'too_common';

export interface EncodedPassword {
  readonly kind: 'encoded';
  /** NFC: an accented letter is the same password whether a keyboard sends it composed or decomposed. */
  readonly text: string;
  /** UTF-8 of `text`: what is hashed, whole. */
  readonly bytes: Buffer;
}

export interface RefusedPassword<Violation extends PasswordViolation> {
  readonly kind: 'refused';
  readonly violation: Violation;
}

export interface NewPasswordRules {
  readonly minLengthCodePoints: number;
  /** Written in lower case. */
  readonly commonPasswords: ReadonlySet<string>;
}

/**
 * Normalises and checks a password before it is hashed, at login too. NUL, spaces and any other character count.
 *
 * A lone surrogate is refused because UTF-8 cannot carry it: it would be hashed as U+FFFD, the same bytes for all of
 * them. The byte limit keeps a request from buying more than one hash's worth of work.
 */
export function encodePassword(password: string): EncodedPassword | RefusedPassword<EncodingViolation> {
  // No string has fewer UTF-8 bytes than UTF-16 units: an oversized one is not even normalised.
  if (password.length > PASSWORD_MAX_BYTES || Buffer.byteLength(password) > PASSWORD_MAX_BYTES) {
    return { kind: 'refused', violation: 'too_many_bytes' };
  }
  if (/\p{Surrogate}/u.test(password)) {
    return { kind: 'refused', violation: 'not_unicode' };
  }
  const text = password.normalize('NFC');
  const bytes = Buffer.from(text);
  return bytes.length > PASSWORD_MAX_BYTES
    ? { kind: 'refused', violation: 'too_many_bytes' }
    : { kind: 'encoded', text, bytes };
}

/**
 * Checks whether an account may have this password. Called at registration and change only, because at login a password
 * that breaks these rules is simply wrong.
 *
 * The length is counted after normalisation, so that both encodings of one password get one verdict, and in code points
 * (NIST SP 800-63B-4 §3.1.1.2). The list is searched in lower case: a common password in capitals is tried as early.
 */
export function checkNewPassword(
  password: string,
  rules: NewPasswordRules,
): EncodedPassword | RefusedPassword<PasswordViolation> {
  const encoded = encodePassword(password);
  if (encoded.kind === 'refused') {
    return encoded;
  }
  const lengthCodePoints = Array.from(encoded.text).length;
  if (lengthCodePoints < rules.minLengthCodePoints) {
    return { kind: 'refused', violation: 'too_short' };
  }
  if (lengthCodePoints > PASSWORD_MAX_CODE_POINTS) {
    return { kind: 'refused', violation: 'too_long' };
  }
  if (rules.commonPasswords.has(encoded.text.toLowerCase())) {
    return { kind: 'refused', violation: 'too_common' };
  }
  return encoded;
}

/** Returns a sentence for the person who chose the password; it never repeats the password. */
export function describeViolation(violation: PasswordViolation, minLengthCodePoints: number): string {
  switch (violation) {
    case 'not_unicode':
      return 'must be well-formed Unicode text';
    case 'too_many_bytes':
      return `must be at most ${PASSWORD_MAX_BYTES} bytes long in UTF-8`;
    case 'too_short':
      return `must be at least ${minLengthCodePoints} characters long`;
    case 'too_long':
      return `must be at most ${PASSWORD_MAX_CODE_POINTS} characters long`;
    case 'too_common':
      return 'must not be a commonly used password';
  }
}
