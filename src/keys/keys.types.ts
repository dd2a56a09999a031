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
  /** Null for a key that has never signed. For a `next` key: when it will sign, once that is settled (`KeySwitch`). */
  readonly activatedAt: Date | null;
  /** Also of a key that leaves in a `KeySwitch`: when it will. */
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

/**
 * A settled change of the key that signs. At one instant of the database's clock, on every instance, `incoming` begins to
 * sign and the keys of `outgoing` leave the set. The rows say so 20 s before, so that every instance has read it by then.
 */
export interface KeySwitch {
  readonly at: Date;
  readonly incoming: KeyRecord;
  /** Stolen keys; none when the key that signs is only rotated. */
  readonly outgoing: readonly KeyRecord[];
}

/**
 * One step of a key's life; `withdraw` retires a `next` key that is no longer wanted before it has signed, and `switch`
 * carries out the `KeySwitch` of a `next` key.
 */
export type KeyTransition =
  | { readonly kind: 'publish'; readonly algorithm: JwtAlgorithm }
  | { readonly kind: 'activate' | 'withdraw' | 'remove'; readonly kid: string }
  | { readonly kind: 'switch'; readonly to: KeySwitch };

/** `kid` is a placeholder for a key that does not exist yet. A switch is an activation and removals. */
export interface PlannedTransition extends NamedKey {
  readonly at: Date;
  readonly kind: Exclude<KeyTransition['kind'], 'switch'>;
}

/** What happened to a key; for the log. */
export interface KeyChange extends NamedKey {
  readonly event:
    | 'signing_key_published'
    | 'signing_key_scheduled'
    | 'signing_key_activated'
    | 'signing_key_withdrawn'
    | 'signing_key_removed';
}

/** A key as an operator sees it. */
export interface KeyOverview extends KeyRecord {
  /** Set for a `next` key. */
  readonly signsFrom?: Date;
  /** Set for a `retiring` key, and for one that is being replaced. */
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

/**
 * `scheduled`: `key` signs from `at` on, on every instance. `done`: it does so already. `busy`: another switch comes
 * first. `unknown`: there is no key to replace. `full`: no more keys may be published until then.
 */
export type SwitchRequest =
  | { readonly kind: 'scheduled' | 'busy' | 'done'; readonly key: NamedKey; readonly at: Date }
  | { readonly kind: 'full'; readonly roomFrom: Date }
  | { readonly kind: 'unknown' };

/** `tokensEndAt` is when the last token of the key expires or would have expired. */
export type Retirement =
  | { readonly kind: 'removed'; readonly tokensEndAt?: Date }
  | { readonly kind: 'tokens_alive'; readonly tokensEndAt: Date }
  | { readonly kind: 'signs_soon'; readonly signsFrom: Date }
  | { readonly kind: 'unknown' | 'active' };

export interface Reencryption {
  readonly changedCount: number;
  readonly totalCount: number;
}
