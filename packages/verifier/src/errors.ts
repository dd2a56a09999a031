/** The stable code of each error, the same as in the answers of the service. */
export type VerificationErrorCode =
  | 'access_token_missing'
  | 'access_token_invalid'
  | 'access_token_expired'
  | 'access_token_revoked'
  | 'insufficient_user_authentication'
  | 'insufficient_role'
  | 'cross_site_request'
  | 'temporarily_unavailable';

/** Everything a verifier throws. `message` is for the log; `toProblem` makes what a client may read. */
export abstract class VerificationError extends Error {
  abstract readonly code: VerificationErrorCode;
  /** The HTTP status to answer with. */
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

/** Not an access token of this issuer for this audience: the client refreshes once, and then signs in. */
export class AccessTokenInvalidError extends VerificationError {
  readonly code = 'access_token_invalid';
  readonly status = 401;
}

/**
 * The service issues tokens of another issuer than the option `issuer` names, so every token would be refused. Not a
 * verdict on a request: correct the configuration.
 */
export class IssuerMismatchError extends Error {
  constructor(expected: string, received: string, url: string) {
    super(`@ratchet/verifier: issuer is ${JSON.stringify(expected)}, but ${url} says ${JSON.stringify(received)}`);
    this.name = new.target.name;
  }
}

/** A token past its `exp`: the client refreshes. */
export class AccessTokenExpiredError extends VerificationError {
  readonly code = 'access_token_expired';
  readonly status = 401;
}

/** The token's session has ended. */
export class AccessTokenRevokedError extends VerificationError {
  readonly code = 'access_token_revoked';
  readonly status = 401;
}

/** A valid token whose user has proved too little, or too long ago: the client asks the user for a proof (RFC 9470). */
export class InsufficientUserAuthenticationError extends VerificationError {
  readonly code = 'insufficient_user_authentication';
  readonly status = 401;

  /** All that is demanded, whichever part is not met. */
  constructor(
    readonly acrValues: string | undefined,
    readonly maxAgeSeconds: number | undefined,
  ) {
    super(`acr ${acrValues ?? 'any'} of the last ${maxAgeSeconds ?? 'unlimited'} s is required`);
  }
}

/** A valid token without any of the required roles. */
export class InsufficientRoleError extends VerificationError {
  readonly code = 'insufficient_role';
  readonly status = 403;
}

/** Only a cookie came, and a page of another origin may have caused the request. */
export class CrossSiteRequestError extends VerificationError {
  readonly code = 'cross_site_request';
  readonly status = 403;
}

/** Keys or sufficiently fresh revocations are unavailable. */
export class TemporarilyUnavailableError extends VerificationError {
  readonly code = 'temporarily_unavailable';
  readonly status = 503;
}
