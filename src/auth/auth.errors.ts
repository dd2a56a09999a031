import { DomainError, type ProblemCode } from '../platform/common/domain.errors.js';

/** No bearer credentials came with the request. */
export class AccessTokenMissingError extends DomainError {
  readonly code = 'access_token_missing';
}

/** The token was not issued by this service, or a verifier may not accept it. */
export class AccessTokenInvalidError extends DomainError {
  readonly code = 'access_token_invalid';
}

export class AccessTokenExpiredError extends DomainError {
  readonly code = 'access_token_expired';
}

/** The token's session has ended. */
export class AccessTokenRevokedError extends DomainError {
  readonly code = 'access_token_revoked';
}

/** The token is good, and its user signed in too long ago for this route (RFC 9470). */
export class InsufficientUserAuthenticationError extends DomainError {
  readonly code = 'insufficient_user_authentication';

  constructor(readonly maxAgeSeconds: number) {
    super(`a sign-in of the last ${maxAgeSeconds} s is required`);
  }
}

export class InsufficientRoleError extends DomainError {
  readonly code = 'insufficient_role';
}

/** Only a cookie could authenticate the request, and a page of another origin may have caused it. Nothing was done. */
export class CrossSiteRequestError extends DomainError {
  readonly code = 'cross_site_request';
}

/** What every route that requires an access token can answer; its `@ApiProblems` lists them. */
export const BEARER_PROBLEMS: readonly ProblemCode[] = [
  'access_token_missing',
  'access_token_invalid',
  'access_token_expired',
  'access_token_revoked',
];
