import type { KeyObject } from 'node:crypto';
import type { JwtAlgorithm } from '../config/config.js';

/** `next` is published but does not sign yet, `active` signs, `retiring` only verifies. */
export type SigningKeyStatus = 'next' | 'active' | 'retiring';

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
export interface VerificationKey {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  readonly publicKey: KeyObject;
}

export interface SigningKey extends VerificationKey {
  readonly privateKey: KeyObject;
}
