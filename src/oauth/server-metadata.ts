/** RFC 8414 section 2, as far as there is something to say. */
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
 * Every address begins with the issuer, which is the base that the outside knows; nothing of a request is used, or
 * whoever sends another `Host` through a cache could send clients elsewhere. There is no authorization endpoint and
 * there are no ID tokens, so that nothing is said about them: `response_types_supported` is empty because section 2
 * requires the member.
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
 * Of an issuer with a path, what stands behind the well-known part of the metadata's address (RFC 8414 section 3.1).
 *
 * @returns without slashes at either end; empty for an issuer without a path
 */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/^\/+|\/+$/g, '');
}
