import type { FastifyReply } from 'fastify';
import { type DomainError, type ErrorCode, ValidationFailedError } from '../platform/common/domain.errors.js';
import { toProblem } from '../platform/http/problems/problem.js';

/**
 * RFC 6749 section 5.2, and two of section 4.1.2.1 for what section 5.2 has no word for. `unauthorized_client` and
 * `unsupported_token_type` (RFC 7009) are missing: the one client may use the one grant, and both kinds of token can be
 * revoked.
 */
export const OAUTH_ERROR_CODES = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unsupported_grant_type',
  'invalid_scope',
  'temporarily_unavailable',
  'server_error',
] as const;

export type OAuthErrorCode = (typeof OAUTH_ERROR_CODES)[number];

export interface OAuthErrorBody {
  readonly error: OAuthErrorCode;
  readonly error_description: string;
}

interface OAuthAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: OAuthErrorBody;
}

const OTHERWISE = [400, 'invalid_request'] as const;

/** The statuses that say more than the 400 of RFC 6749 are kept: clients read the body of every 4xx. */
const ANSWERS: Readonly<Partial<Record<ErrorCode, readonly [status: number, error: OAuthErrorCode]>>> = {
  refresh_token_invalid: [400, 'invalid_grant'],
  refresh_token_reused: [400, 'invalid_grant'],
  session_revoked: [400, 'invalid_grant'],
  session_expired: [400, 'invalid_grant'],
  account_disabled: [400, 'invalid_grant'],
  invalid_client: [400, 'invalid_client'],
  client_credentials_in_header: [401, 'invalid_client'],
  unsupported_grant_type: [400, 'unsupported_grant_type'],
  roles_not_granted: [400, 'invalid_scope'],
  method_not_allowed: [405, 'invalid_request'],
  payload_too_large: [413, 'invalid_request'],
  unsupported_media_type: [415, 'invalid_request'],
  too_many_attempts: [429, 'temporarily_unavailable'],
  internal_error: [500, 'server_error'],
  overloaded: [503, 'temporarily_unavailable'],
  temporarily_unavailable: [503, 'temporarily_unavailable'],
  outcome_unknown: [503, 'temporarily_unavailable'],
};

const FORM_WANTED =
  'The body of the request must be application/x-www-form-urlencoded in UTF-8, without a content coding.';

/**
 * Answers with an error as OAuth clients read it. The body is bytes because Fastify would add a `charset` to a string.
 */
export function sendOAuthError(reply: FastifyReply, error: DomainError): void {
  const { status, headers, body } = toOAuthAnswer(error, reply.request.id);
  void reply
    .code(status)
    .headers(headers)
    .send(Buffer.from(JSON.stringify(body)));
}

/** Returns constant text per code, as a problem does. */
export function toOAuthAnswer(error: DomainError, requestId: string): OAuthAnswer {
  const { headers, body } = toProblem(error, requestId);
  const [status, errorCode] = ANSWERS[error.code] ?? OTHERWISE;
  const challenge = headers['www-authenticate'];
  const { allow } = headers;
  const retryAfter = headers['retry-after'];
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      pragma: 'no-cache',
      // RFC 6749 wants the scheme that was tried; `Basic` would make browsers ask their user for a password.
      ...(status === 401 && challenge !== undefined && { 'www-authenticate': challenge }),
      ...(allow !== undefined && { allow }),
      ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
    },
    body: { error: errorCode, error_description: descriptionOf(error, body.detail) },
  };
}

/** Within the characters of RFC 6749 section 5.2: printable ASCII without quotes and backslashes. */
function descriptionOf(error: DomainError, problemDetail: string): string {
  if (error instanceof ValidationFailedError) {
    return error.errors.map(({ field, message }) => `${field} ${message}`).join('; ');
  }
  return error.code === 'unsupported_media_type' ? FORM_WANTED : problemDetail;
}
