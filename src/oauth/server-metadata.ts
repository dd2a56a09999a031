import type { JwtAlgorithm } from '../platform/config/config.js';

/** The members of RFC 8414 section 2 that apply to this service. */
export interface ServerMetadata {
  readonly issuer: string;
  readonly token_endpoint: string;
  readonly revocation_endpoint: string;
  readonly jwks_uri: string;
  readonly grant_types_supported: readonly string[];
  readonly response_types_supported: readonly string[];
  readonly token_endpoint_auth_methods_supported: readonly string[];
  readonly revocation_endpoint_auth_methods_supported: readonly string[];
}

/**
 * The members that strict readers of OpenID Connect Discovery 1.0 section 3 miss in these. `authorization_endpoint`, which it
 * requires too, is missing because there is none; to name one would lead clients there.
 */
export interface OpenIdConfiguration extends ServerMetadata {
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly JwtAlgorithm[];
}

/**
 * Makes every address from the issuer, which is the base that clients know. Nothing of a request is used: an attacker
 * could send another `Host` through a cache and lead clients elsewhere. There is no authorization endpoint and there
 * are no ID tokens; `response_types_supported` is empty because section 2 requires the member.
 *
 * @param issuer as it stands in the tokens, byte for byte
 */
export function serverMetadata(issuer: string): ServerMetadata {
  const base = issuer.replace(/\/$/, '');
  return {
    issuer,
    token_endpoint: `${base}/oauth/token`,
    revocation_endpoint: `${base}/oauth/revoke`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    grant_types_supported: ['refresh_token'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
  };
}

/**
 * There are no ID tokens. Clients of OpenID Connect verify access tokens by the algorithms that are named for them, and take
 * RS256 where none are.
 *
 * @param algorithms those of the published keys
 */
export function openIdConfiguration(issuer: string, algorithms: readonly JwtAlgorithm[]): OpenIdConfiguration {
  return {
    ...serverMetadata(issuer),
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: algorithms,
  };
}

/**
 * Returns what follows the well-known part of the metadata's address for an issuer with a path (RFC 8414 section 3.1).
 *
 * @returns without slashes at either end; empty for an issuer without a path
 */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/^\/+|\/+$/g, '');
}
