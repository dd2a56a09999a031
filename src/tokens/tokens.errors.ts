import { DomainError } from '../platform/common/domain.errors.js';

/** Not a token that this service issued. */
export class RefreshTokenInvalidError extends DomainError {
  readonly code = 'refresh_token_invalid';
}

/** An earlier token of a family, or any token of a family that ended because of a reuse. */
export class RefreshTokenReusedError extends DomainError {
  readonly code = 'refresh_token_reused';
}

/** The session was ended by its owner, an operator or a rule. */
export class SessionRevokedError extends DomainError {
  readonly code = 'session_revoked';
}

/** The session reached its absolute end or was idle for too long. */
export class SessionExpiredError extends DomainError {
  readonly code = 'session_expired';
}

/** The `Idempotency-Key` of one of the session's last rotations: a key may serve one refresh only. Nothing was done. */
export class IdempotencyKeyReusedError extends DomainError {
  readonly code = 'idempotency_key_reused';
}

/** The client asks for roles that its user does not have. Nothing was done. */
export class RolesNotGrantedError extends DomainError {
  readonly code = 'roles_not_granted';
}
