import { DomainError } from '../platform/common/domain.errors.js';

/** No bearer credentials came with the request. */
export class AccessTokenMissingError extends DomainError {
  readonly code = 'access_token_missing';
}

/** Not an access token of this service, or not one that a verifier may accept. */
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

export class InsufficientRoleError extends DomainError {
  readonly code = 'insufficient_role';
}
