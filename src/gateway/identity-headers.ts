import type { Identity } from '../auth/auth.types.js';

/**
 * Who the token speaks for, as headers for the backend: all of them always, because a gateway that finds one missing may
 * let the client's own through. Ids are UUIDs and roles of a narrow alphabet, so no value can break a header.
 */
export function identityHeaders(identity: Identity): Readonly<Record<string, string>> {
  return {
    'x-user-id': identity.userId,
    'x-user-roles': identity.roles.join(','),
    'x-user-scope': identity.roles.join(' '),
    'x-session-id': identity.sessionId,
    'x-token-id': identity.tokenId,
    'x-token-expires-at': String(identity.expiresAtSeconds),
  };
}
