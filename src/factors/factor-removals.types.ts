/** A kind of second factor of which a user can have one or more. */
export type FactorKind = 'totp' | 'passkey';
