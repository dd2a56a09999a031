import type { ErrorCode, OAuthRefusalCode, ProblemCode } from '../../common/domain.errors.js';

export interface ProblemDefinition {
  readonly status: number;
  readonly title: string;
  /**
   * The only sentence a client ever sees for this code: printable ASCII without quotes, so that it fits in a header.
   */
  readonly detail: string;
}

/** What each code of the wire contract means in HTTP; the type makes a code without an entry a compile error. */
export const PROBLEM_CATALOGUE: Readonly<Record<ProblemCode, ProblemDefinition>> = {
  validation_failed: {
    status: 400,
    title: 'Validation failed',
    detail: 'The request does not have the documented shape.',
  },
  malformed_request: {
    status: 400,
    title: 'Malformed request',
    detail: 'The request could not be parsed.',
  },
  invalid_credentials: {
    status: 401,
    title: 'Invalid credentials',
    detail: 'The e-mail address or the password is wrong.',
  },
  access_token_missing: {
    status: 401,
    title: 'Access token missing',
    detail: 'This resource needs an access token in the Authorization header.',
  },
  access_token_invalid: {
    status: 401,
    title: 'Access token invalid',
    detail: 'The access token is not one that this service issued.',
  },
  access_token_expired: {
    status: 401,
    title: 'Access token expired',
    detail: 'The access token has expired; refresh it.',
  },
  access_token_revoked: {
    status: 401,
    title: 'Access token revoked',
    detail: 'The session of this access token has ended.',
  },
  insufficient_user_authentication: {
    status: 401,
    title: 'Stronger or more recent authentication required',
    detail: 'The user has proved too little for this, or too long ago; authenticate again and repeat the request.',
  },
  refresh_token_invalid: {
    status: 401,
    title: 'Refresh token invalid',
    detail: 'The refresh token is not one that this service issued.',
  },
  refresh_token_reused: {
    status: 401,
    title: 'Refresh token reused',
    detail: 'The refresh token was used before, so its session has been ended; sign in again.',
  },
  session_revoked: {
    status: 401,
    title: 'Session revoked',
    detail: 'The session has been ended; sign in again.',
  },
  session_expired: {
    status: 401,
    title: 'Session expired',
    detail: 'The session has expired; sign in again.',
  },
  ticket_invalid: {
    status: 401,
    title: 'Ticket invalid',
    detail: 'The ticket is not one that this service issued for this, or it has been used or has expired; start again.',
  },
  code_invalid: {
    status: 401,
    title: 'Code invalid',
    detail: 'The code is wrong.',
  },
  second_factor_invalid: {
    status: 401,
    title: 'Second factor invalid',
    detail: 'The code or the passkey is wrong or has been used.',
  },
  second_factor_required: {
    status: 403,
    title: 'Second factor required',
    detail: 'The user has a second factor; prove one of those that are listed.',
  },
  account_disabled: {
    status: 403,
    title: 'Account disabled',
    detail: 'The account has been disabled.',
  },
  insufficient_role: {
    status: 403,
    title: 'Insufficient role',
    detail: 'The access token does not carry a role that this resource asks for.',
  },
  cross_site_request: {
    status: 403,
    title: 'Cross-site request',
    detail: 'A cookie counts only in requests of pages that this service knows; nothing was done.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    detail: 'There is nothing at this address.',
  },
  method_not_allowed: {
    status: 405,
    title: 'Method not allowed',
    detail: 'This resource does not support the method; the Allow header lists those that it does.',
  },
  payload_too_large: {
    status: 413,
    title: 'Payload too large',
    detail: 'The body of the request is larger than 16 KiB.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    detail: 'The body of the request must be application/json in UTF-8, without a content coding.',
  },
  headers_too_large: {
    status: 431,
    title: 'Headers too large',
    detail: 'The header section of the request is larger than 16 KiB, or has more than 255 headers.',
  },
  email_taken: {
    status: 409,
    title: 'E-mail address taken',
    detail: 'There is an account with this e-mail address.',
  },
  too_many_passkeys: {
    status: 409,
    title: 'Too many passkeys',
    detail: 'The account has 20 passkeys; remove one first.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'Idempotency key reused',
    detail: 'This Idempotency-Key has served an earlier refresh; make a fresh one for each.',
  },
  too_many_attempts: {
    status: 429,
    title: 'Too many attempts',
    detail: 'There were too many attempts recently; wait as long as Retry-After says.',
  },
  overloaded: {
    status: 503,
    title: 'Overloaded',
    detail: 'The service has more work than it can queue. Nothing was done; retry later.',
  },
  temporarily_unavailable: {
    status: 503,
    title: 'Temporarily unavailable',
    detail: 'The service cannot answer right now. Nothing was done; retry later.',
  },
  outcome_unknown: {
    status: 503,
    title: 'Outcome unknown',
    detail: 'The request may or may not have been carried out; retry it with the same Idempotency-Key.',
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    detail: 'The service failed to answer; quote the request id when you report it.',
  },
};

/** OAuth clients read `detail` as the `error_description` of an OAuth error, and never a problem. */
const OAUTH_REFUSALS: Readonly<Record<OAuthRefusalCode, ProblemDefinition>> = {
  invalid_client: {
    status: 400,
    title: 'Invalid client',
    detail: 'The client is public and identifies itself by client_id=ratchet, without any proof.',
  },
  client_credentials_in_header: {
    status: 401,
    title: 'Client credentials in the header',
    detail: 'The client is public and identifies itself by client_id=ratchet, without any proof.',
  },
  unsupported_grant_type: {
    status: 400,
    title: 'Unsupported grant type',
    detail: 'The only grant_type is refresh_token.',
  },
  roles_not_granted: {
    status: 400,
    title: 'Roles not granted',
    detail: 'The scope asks for more than the roles of the user; leave it out to get all of them.',
  },
};

const DEFINITIONS: Readonly<Record<ErrorCode, ProblemDefinition>> = { ...PROBLEM_CATALOGUE, ...OAUTH_REFUSALS };

export function definitionOf(code: ErrorCode): ProblemDefinition {
  return DEFINITIONS[code];
}
