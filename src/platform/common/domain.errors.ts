/** Every `code` of a problem, as the wire contract has it; `http/problems/problem.catalogue.ts` gives each a status. */
export type ProblemCode =
  | 'validation_failed'
  | 'malformed_request'
  | 'invalid_credentials'
  | 'access_token_missing'
  | 'access_token_invalid'
  | 'access_token_expired'
  | 'access_token_revoked'
  | 'insufficient_user_authentication'
  | 'refresh_token_invalid'
  | 'refresh_token_reused'
  | 'session_revoked'
  | 'session_expired'
  | 'ticket_invalid'
  | 'code_invalid'
  | 'second_factor_required'
  | 'second_factor_invalid'
  | 'account_disabled'
  | 'insufficient_role'
  | 'cross_site_request'
  | 'not_found'
  | 'method_not_allowed'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'headers_too_large'
  | 'email_taken'
  | 'too_many_passkeys'
  | 'idempotency_key_reused'
  | 'too_many_attempts'
  | 'overloaded'
  | 'temporarily_unavailable'
  | 'outcome_unknown'
  | 'internal_error';

/** Refusals that only the OAuth routes have. Their clients read the error codes of RFC 6749 instead. */
export type OAuthRefusalCode =
  'invalid_client' | 'client_credentials_in_header' | 'unsupported_grant_type' | 'roles_not_granted';

export type ErrorCode = ProblemCode | OAuthRefusalCode;

/**
 * An expected failure with a stable `code`, which no other class has. `message` is free text for the log and never
 * reaches a client; the sentence a client sees is constant per code.
 */
export abstract class DomainError extends Error {
  abstract readonly code: ErrorCode;
  /** What one occurrence adds to its problem; extension members of RFC 9457 section 3.2. */
  readonly members?: Readonly<Record<string, unknown>>;

  constructor(detail = '', options?: ErrorOptions) {
    super(detail, options);
    this.name = new.target.name;
  }
}

export interface FieldError {
  /** Dotted path of the member, `header` names as they are written. */
  readonly field: string;
  /** Says what is expected; never repeats the value. */
  readonly message: string;
}

/** A body, parameter or header of the right syntax that is not of the documented shape. */
export class ValidationFailedError extends DomainError {
  readonly code = 'validation_failed';

  constructor(readonly errors: readonly FieldError[]) {
    // Without the names: that of an unknown member is the client's, and may be a password in the wrong place.
    super(errors.map((error) => error.message).join('; '));
  }
}

/** Unparseable: broken JSON, wrong encoding, a path that cannot be decoded. */
export class MalformedRequestError extends DomainError {
  readonly code = 'malformed_request';
}

export class NotFoundError extends DomainError {
  readonly code = 'not_found';
}

/** Answered only after a correct password or to the holder of an authentic token. */
export class AccountDisabledError extends DomainError {
  readonly code = 'account_disabled';
}

/** A bounded queue is full. Nothing was done. */
export class OverloadedError extends DomainError {
  readonly code = 'overloaded';
}

/** A dependency is unavailable. Nothing was done, a retry is safe. */
export class TemporarilyUnavailableError extends DomainError {
  readonly code = 'temporarily_unavailable';
}

/** A change was sent, and its outcome is still unknown after the deadline. */
export class OutcomeUnknownError extends DomainError {
  readonly code = 'outcome_unknown';
}

const SAYS_NOTHING_WAS_DONE: ReadonlySet<ErrorCode> = new Set(['overloaded', 'temporarily_unavailable']);

/**
 * Returns the error for a request of which something is committed already, or may be: one that says "nothing was done"
 * becomes an unknown outcome, so that the client repeats the request with the same key. Any other stays.
 */
export function afterCommit(error: unknown): unknown {
  return error instanceof DomainError && SAYS_NOTHING_WAS_DONE.has(error.code)
    ? new OutcomeUnknownError('it failed after a commit', { cause: error })
    : error;
}
