/** How many recovery codes a user gets at a time. */
export const RECOVERY_CODES = 10;

/** What the list of a user's factors says of their authenticator app. */
export interface TotpFactor {
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
}

/** A secret that an authenticator app is to take. */
export interface TotpEnrolment {
  /** As a person types it. */
  readonly secret: string;
  /** As an app reads it from a QR code; holds the secret. */
  readonly otpauthUri: string;
}

/** What a code is worth under the lock on the user's row. */
export interface JudgedCode {
  readonly isRight: boolean;
  /** Uses a right code up in the transaction that judged it: it is never right again. */
  readonly use: () => Promise<void>;
}

export interface FactorReencryption {
  readonly changedCount: number;
  /** Those that no configured secret decrypts. */
  readonly unreadableCount: number;
  readonly totalCount: number;
}
