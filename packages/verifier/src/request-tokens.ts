import type { AccessToken } from './access-token.format.js';
import type { NodeRequest } from './bearer-token.js';
import { AccessTokenMissingError } from './errors.js';
import { requireAnyRole, type Verifier } from './verifier.js';

/** Beside the request and not on it: no framework's type has to grow a member, and no client can send one. */
const TOKENS = new WeakMap<NodeRequest, AccessToken>();

export interface Requirement {
  /** The user must have at least one of these. */
  readonly anyRole?: readonly string[];
}

/** @throws VerificationError */
export async function admit(verifier: Verifier, request: NodeRequest, { anyRole }: Requirement): Promise<void> {
  const accessToken = await verifier.verifyRequest(request);
  if (anyRole !== undefined) {
    requireAnyRole(accessToken, anyRole);
  }
  TOKENS.set(request, accessToken);
}

/** @throws AccessTokenMissingError where nothing has verified one: an open route has no user */
export function tokenOf(request: NodeRequest): AccessToken {
  const accessToken = TOKENS.get(request);
  if (accessToken === undefined) {
    throw new AccessTokenMissingError('no token has been verified for this request');
  }
  return accessToken;
}
