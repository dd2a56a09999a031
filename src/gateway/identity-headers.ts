import type { Identity } from '../auth/auth.types.js';

/**
 * Returns the identity as headers for the backend. All of them are always set, because a gateway may pass on the
 * client's own header where one is missing. Ids are UUIDs, and roles, classes and methods have a narrow alphabet, so no value
 * can break a header.
 */
export function identityHeaders(identity: Identity): Readonly<Record<string, string>> {
  return {
    'x-user-id': identity.userId,
    'x-user-roles': identity.roles.join(','),
    'x-user-scope': identity.roles.join(' '),
    'x-session-id': identity.sessionId,
    'x-token-id': identity.tokenId,
    'x-token-expires-at': String(identity.expiresAtSeconds),
    'x-auth-acr': identity.acr,
    'x-auth-amr': identity.amr.join(','),
    'x-auth-time': String(identity.authenticatedAtSeconds),
  };
}
