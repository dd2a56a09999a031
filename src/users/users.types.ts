/** Bounds the canonical form, and what is read. */
export const EMAIL_MAX_CHARACTERS = 254;

/** Bounds a new password, after NFC normalisation. */
export const PASSWORD_MAX_CODE_POINTS = 128;

/** Bounds any password, in UTF-8. */
export const PASSWORD_MAX_BYTES = 1024;

export type UserStatus = 'active' | 'disabled';

/** The kinds of second factors, in the order in which they are offered. */
export const SECOND_FACTORS = ['totp', 'passkey'] as const;

export type SecondFactor = (typeof SECOND_FACTORS)[number];

export interface User {
  readonly id: string;
  /** Canonical, see `parseEmailAddress`. */
  readonly email: string;
  /** Whether the user has proved that the address is theirs. */
  readonly isEmailVerified: boolean;
  readonly status: UserStatus;
  /** Sorted, without duplicates. */
  readonly roles: readonly string[];
  readonly createdAt: Date;
}

/** A client that has a password checked or hashed. */
export interface Applicant {
  /** The keys that its attempts are counted by, the narrowest network first, see `networksOf`. */
  readonly networks: readonly [string, ...string[]];
  /** Whether it no longer waits for the answer. */
  readonly hasGone: () => boolean;
}

export interface Registration {
  readonly email: string;
  readonly password: string;
  readonly roles?: readonly string[];
  /** BCP 47; undefined for the service's own. */
  readonly locale?: string | undefined;
  /** Absent for an operator, who is not limited. */
  readonly applicant?: Applicant;
}

/** What a registration asks for, checked and hashed. */
export interface PreparedRegistration {
  /** Canonical. */
  readonly email: string;
  /** PHC string. */
  readonly passwordHash: string;
  readonly roles: readonly string[];
}

/** An account whose mailbox has been proven before it exists. */
export interface ProvenUser {
  readonly id: string;
  readonly email: string;
  readonly passwordHash: string;
  readonly locale: string | undefined;
}

export interface VerifiedCredentials {
  readonly user: User;
  /**
   * Counts changes of the password, of the address and of the factors. A session may be made from these credentials only
   * while the locked row still has this version.
   */
  readonly credentialVersion: number;
}

/** A user's row as it is while the transaction that locked it lasts. */
export interface LockedUser extends Omit<User, 'createdAt'> {
  readonly credentialVersion: number;
  /** BCP 47; undefined for the service's own. */
  readonly locale: string | undefined;
  /** The kinds of second factors that the user has, without duplicates. */
  readonly secondFactors: readonly SecondFactor[];
}

export interface PreparedPasswordChange {
  /** The stored hash that the current password matched. */
  readonly verifiedHash: string;
  readonly newHash: string;
}

/**
 * `superseded`: the stored hash is no longer the one that was verified. The password has been changed, or a login has
 * rehashed it; only verifying again tells which.
 */
export type PasswordReplacement = 'replaced' | 'superseded';

export interface UserPage {
  /** Never below 1. */
  readonly limit: number;
  /** The canonical e-mail of the last user of the previous page. */
  readonly after?: string;
  /** Compared without regard to ASCII case. */
  readonly emailPrefix?: string;
}
