import type { FastifyReply } from 'fastify';
import { type DomainError, type ProblemCode, ValidationFailedError } from '../platform/common/domain.errors.js';
import { toProblem } from '../platform/http/problems/problem.js';
import { RolesNotGrantedError } from '../tokens/tokens.errors.js';
import { InvalidClientError, MalformedScopeError, UnsupportedGrantTypeError } from './oauth.errors.js';

/**
 * RFC 6749 section 5.2, and two of section 4.1.2.1 for what that one has no word for. `unauthorized_client` and
 * `unsupported_token_type` (RFC 7009) are missing: the one client may use the one grant, and both kinds of token can be
 * revoked.
 */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'temporarily_unavailable'
  | 'server_error';

export interface OAuthErrorBody {
  readonly error: OAuthErrorCode;
  readonly error_description: string;
}

interface OAuthAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: OAuthErrorBody;
}

/** Whatever a refresh token is refused for; all other codes are told apart by their status. */
const INVALID_GRANT: ReadonlySet<ProblemCode> = new Set([
  'refresh_token_invalid',
  'refresh_token_reused',
  'session_revoked',
  'session_expired',
  'account_disabled',
]);

/** HTTP says more with these than RFC 6749 does with 400, and clients read the body of every 4xx. */
const KEPT_STATUSES: ReadonlySet<number> = new Set([413, 415, 429, 500, 503]);

const FORM_WANTED =
  'The body of the request must be application/x-www-form-urlencoded in UTF-8, without a content coding.';

/** Answers with an error as OAuth clients read it. The body is bytes because Fastify would add a `charset` to a string. */
export function sendOAuthError(reply: FastifyReply, error: DomainError): void {
  const { status, headers, body } = toOAuthAnswer(error, reply.request.id);
  void reply
    .code(status)
    .headers(headers)
    .send(Buffer.from(JSON.stringify(body)));
}

/** As with problems, the client is told constant text per error. */
export function toOAuthAnswer(error: DomainError, requestId: string): OAuthAnswer {
  const { status, headers, body } = toProblem(error, requestId);
  const retryAfter = headers['retry-after'];
  const isChallenged = error instanceof InvalidClientError && error.cameInHeader;
  return {
    status: isChallenged ? 401 : KEPT_STATUSES.has(status) ? status : 400,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      pragma: 'no-cache',
      // RFC 6749 wants the scheme that was tried; `Basic` would make browsers ask their user for a password.
      ...(isChallenged && { 'www-authenticate': 'Bearer realm="ratchet"' }),
      ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
    },
    body: { error: errorCodeOf(error, status), error_description: descriptionOf(error, body.detail) },
  };
}

function errorCodeOf(error: DomainError, problemStatus: number): OAuthErrorCode {
  if (INVALID_GRANT.has(error.code)) {
    return 'invalid_grant';
  }
  if (error instanceof InvalidClientError) {
    return 'invalid_client';
  }
  if (error instanceof UnsupportedGrantTypeError) {
    return 'unsupported_grant_type';
  }
  if (error instanceof MalformedScopeError || error instanceof RolesNotGrantedError) {
    return 'invalid_scope';
  }
  if (problemStatus === 429 || problemStatus === 503) {
    return 'temporarily_unavailable';
  }
  return problemStatus === 500 ? 'server_error' : 'invalid_request';
}

/** Within the characters of RFC 6749 section 5.2: printable ASCII without quotes and backslashes. */
function descriptionOf(error: DomainError, problemDetail: string): string {
  if (error instanceof ValidationFailedError) {
    return error.errors.map(({ field, message }) => `${field} ${message}`).join('; ');
  }
  if (error instanceof InvalidClientError) {
    return 'The client is public and identifies itself by client_id=ratchet, without any proof.';
  }
  if (error instanceof UnsupportedGrantTypeError) {
    return 'The only grant_type is refresh_token.';
  }
  if (error instanceof MalformedScopeError || error instanceof RolesNotGrantedError) {
    return 'The scope asks for more than the roles of the user; leave it out to get all of them.';
  }
  return error.code === 'unsupported_media_type' ? FORM_WANTED : problemDetail;
}
