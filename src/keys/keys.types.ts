import type { KeyObject } from 'node:crypto';
import type { JwtAlgorithm } from '../platform/config/config.js';

/** `next` is published but does not sign yet, `active` signs, `retiring` only verifies. */
export type SigningKeyStatus = 'next' | 'active' | 'retiring';

export interface NamedKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
}

/** What the rotation policy knows of a key. */
export interface KeyRecord extends NamedKey {
  readonly status: SigningKeyStatus;
  /** When the key was published. */
  readonly createdAt: Date;
  /** Null for a key that has never signed. */
  readonly activatedAt: Date | null;
  readonly retiringAt: Date | null;
}

export interface StoredKey extends KeyRecord {
  readonly publicJwk: PublicJwk;
  readonly privateKeyEncrypted: Buffer;
  /** Which `AUTH_SECRET` the private key is encrypted under. */
  readonly encryptionKeyId: number;
}

/** All keys, the oldest first. */
export interface StoredKeys {
  readonly keys: readonly StoredKey[];
  /** The database's clock. */
  readonly readAt: Date;
}

/** The public half as RFC 7517 has it, without private members. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string };

/** An entry of the published set. */
export type PublishedJwk = PublicJwk & {
  readonly kid: string;
  readonly alg: JwtAlgorithm;
  readonly use: 'sig';
};

export interface JwkSet {
  readonly keys: readonly PublishedJwk[];
}

/** A key serves one algorithm only (RFC 8725 section 3.1). */
export interface VerificationKey extends NamedKey {
  readonly publicJwk: PublicJwk;
  readonly publicKey: KeyObject;
}

export interface SigningKey extends VerificationKey {
  readonly privateKey: KeyObject;
}

/** One step of a key's life; `withdraw` retires a `next` key that is no longer wanted before it has signed. */
export type KeyTransition =
  | { readonly kind: 'publish'; readonly algorithm: JwtAlgorithm }
  | { readonly kind: 'activate' | 'withdraw' | 'remove'; readonly kid: string };

/** `kid` is a placeholder for a key that does not exist yet. */
export interface PlannedTransition extends NamedKey {
  readonly at: Date;
  readonly kind: KeyTransition['kind'];
}

/** A key that was published, activated, withdrawn or removed; for the log. */
export interface KeyChange extends NamedKey {
  readonly event: 'signing_key_published' | 'signing_key_activated' | 'signing_key_withdrawn' | 'signing_key_removed';
}

/** A key as an operator sees it. */
export interface KeyOverview extends KeyRecord {
  /** Set for a `next` key. */
  readonly signsFrom?: Date;
  /** Set for a `retiring` key. */
  readonly removedFrom?: Date;
  /** Which `AUTH_SECRET` its private half is encrypted under. */
  readonly secret: 'current' | 'accepted';
}

/**
 * `too_early`: a key already waits, and caches may not have it yet. `full`: no more keys may be published until then.
 */
export type Rotation =
  | { readonly kind: 'published' | 'too_early'; readonly key: NamedKey; readonly signsFrom: Date }
  | { readonly kind: 'activated'; readonly key: NamedKey }
  | { readonly kind: 'full'; readonly roomFrom: Date };

/** `gone`: the key does not exist any more, or retires. */
export type EarlyActivation =
  { readonly kind: 'activated' | 'gone' } | { readonly kind: 'too_early'; readonly possibleFrom: Date };

/** `tokensEndAt` is when the last token of the key expires or would have expired. */
export type Retirement =
  | { readonly kind: 'removed'; readonly tokensEndAt?: Date }
  | { readonly kind: 'tokens_alive'; readonly tokensEndAt: Date }
  | { readonly kind: 'unknown' | 'active' };

export interface Reencryption {
  readonly changedCount: number;
  readonly totalCount: number;
}
