import type { AccessToken } from './access-token.format.js';
import { type AuthenticationDemand, requireAuthentication, requireReadable } from './authentication-demand.js';
import type { NodeRequest } from './bearer-token.js';
import { AccessTokenMissingError } from './errors.js';
import { requireAnyRole, type Verifier } from './verifier.js';

/** Kept outside the request object: no framework's type needs a new member, and no client can send one. */
const TOKENS = new WeakMap<NodeRequest, AccessToken>();

/** What the adapters use of a verifier, and all that a fake in a test needs. */
export type RequestVerifier = Pick<Verifier, 'verifyRequest'> & Partial<Pick<Verifier, 'now'>>;

export interface Requirement extends AuthenticationDemand {
  /** The user must have at least one of these. */
  readonly anyRole?: readonly string[];
}

/** @throws TypeError for a requirement that no token could meet, when the backend starts */
export function readRequirement(requirement: Requirement): Requirement {
  requireReadable(requirement);
  return requirement;
}

/**
 * Verifies the request's token, checks its roles and its authentication, and keeps it for `tokenOf`.
 *
 * @throws VerificationError
 */
export async function authorizeRequest(
  verifier: RequestVerifier,
  request: NodeRequest,
  { anyRole, ...demand }: Requirement,
): Promise<void> {
  const accessToken = await verifier.verifyRequest(request);
  if (anyRole !== undefined) {
    requireAnyRole(accessToken, anyRole);
  }
  requireAuthentication(accessToken, demand, verifier.now?.());
  TOKENS.set(request, accessToken);
}

/** @throws AccessTokenMissingError when no token has been verified for this request, as on a public route */
export function tokenOf(request: NodeRequest): AccessToken {
  const accessToken = TOKENS.get(request);
  if (accessToken === undefined) {
    throw new AccessTokenMissingError('no token has been verified for this request');
  }
  return accessToken;
}
