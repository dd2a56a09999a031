/** The stable code of each error, the same as in the answers of the service. */
export type VerificationErrorCode =
  | 'access_token_missing'
  | 'access_token_invalid'
  | 'access_token_expired'
  | 'access_token_revoked'
  | 'insufficient_role'
  | 'temporarily_unavailable';

/** Everything a verifier throws. `message` is for the log; what a client may read is made by `toProblem`. */
export abstract class VerificationError extends Error {
  abstract readonly code: VerificationErrorCode;
  /** The HTTP status that says the same. */
  abstract readonly status: 401 | 403 | 503;

  constructor(detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = new.target.name;
  }
}

/** No bearer credentials came with the request. */
export class AccessTokenMissingError extends VerificationError {
  readonly code = 'access_token_missing';
  readonly status = 401;
}

/** Not an access token of this issuer for this audience. */
export class AccessTokenInvalidError extends VerificationError {
  readonly code = 'access_token_invalid';
  readonly status = 401;
}

/** It was good, and its time is over: the client refreshes. */
export class AccessTokenExpiredError extends VerificationError {
  readonly code = 'access_token_expired';
  readonly status = 401;
}

/** The session it belongs to has ended. */
export class AccessTokenRevokedError extends VerificationError {
  readonly code = 'access_token_revoked';
  readonly status = 401;
}

/** A good token whose user has none of the roles asked for. */
export class InsufficientRoleError extends VerificationError {
  readonly code = 'insufficient_role';
  readonly status = 403;
}

/** It cannot be told now: the keys, or revocations that are fresh enough, are not to be had. */
export class TemporarilyUnavailableError extends VerificationError {
  readonly code = 'temporarily_unavailable';
  readonly status = 503;
}
