export type UserStatus = 'active' | 'disabled';

export interface User {
  readonly id: string;
  /** Canonical, see `parseEmailAddress`. */
  readonly email: string;
  readonly status: UserStatus;
  /** Sorted, without duplicates. */
  readonly roles: readonly string[];
  readonly createdAt: Date;
}

export interface Registration {
  readonly email: string;
  readonly password: string;
  readonly roles?: readonly string[];
  /** The client's network, which the registration counts against; absent for an operator, who is not limited. */
  readonly network?: string;
}

export interface VerifiedCredentials {
  readonly user: User;
  /**
   * Counts password changes. A session may be made from these credentials only while the locked row still has this
   * version.
   */
  readonly credentialVersion: number;
}

/** A user's row as it is while the transaction that locked it lasts. */
export interface LockedUser extends Omit<User, 'createdAt'> {
  readonly credentialVersion: number;
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
  /** At least 1. */
  readonly limit: number;
  /** The canonical e-mail of the last user of the previous page. */
  readonly after?: string;
  /** Compared without regard to ASCII case. */
  readonly emailPrefix?: string;
}
