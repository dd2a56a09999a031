import { describe, expect, it } from 'vitest';
import {
  AccountDisabledError,
  DomainError,
  MalformedRequestError,
  OutcomeUnknownError,
  OverloadedError,
  type ProblemCode,
  TemporarilyUnavailableError,
  ValidationFailedError,
} from '../platform/common/domain.errors.js';
import {
  InternalError,
  MethodNotAllowedError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
} from '../platform/http/problems/http.errors.js';
import { PROBLEM_CATALOGUE } from '../platform/http/problems/problem.catalogue.js';
import { TooManyAttemptsError } from '../limits/limits.errors.js';
import {
  IdempotencyKeyReusedError,
  RefreshTokenInvalidError,
  RefreshTokenReusedError,
  RolesNotGrantedError,
  SessionExpiredError,
  SessionRevokedError,
} from '../tokens/tokens.errors.js';
import { toOAuthAnswer } from './oauth-error.js';
import { ClientCredentialsInHeaderError, InvalidClientError, UnsupportedGrantTypeError } from './oauth.errors.js';

/** RFC 6749 section 5.2. */
const DESCRIPTION = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;

class AnyError extends DomainError {
  constructor(readonly code: ProblemCode) {
    super();
  }
}

describe('an error as OAuth clients read it', () => {
  it.each<[DomainError, number, string]>([
    [new RefreshTokenInvalidError(), 400, 'invalid_grant'],
    [new RefreshTokenReusedError(), 400, 'invalid_grant'],
    [new SessionRevokedError(), 400, 'invalid_grant'],
    [new SessionExpiredError(), 400, 'invalid_grant'],
    [new AccountDisabledError(), 400, 'invalid_grant'],
    [new InvalidClientError('x'), 400, 'invalid_client'],
    [new ClientCredentialsInHeaderError(), 401, 'invalid_client'],
    [new UnsupportedGrantTypeError(), 400, 'unsupported_grant_type'],
    [new RolesNotGrantedError(), 400, 'invalid_scope'],
    [new ValidationFailedError([{ field: 'token', message: 'must be sent' }]), 400, 'invalid_request'],
    [new MalformedRequestError(), 400, 'invalid_request'],
    [new IdempotencyKeyReusedError(), 400, 'invalid_request'],
    [new MethodNotAllowedError(['POST']), 405, 'invalid_request'],
    [new PayloadTooLargeError(), 413, 'invalid_request'],
    [new UnsupportedMediaTypeError(), 415, 'invalid_request'],
    [new TooManyAttemptsError('x', 7.2), 429, 'temporarily_unavailable'],
    [new OverloadedError(), 503, 'temporarily_unavailable'],
    [new TemporarilyUnavailableError(), 503, 'temporarily_unavailable'],
    [new OutcomeUnknownError(), 503, 'temporarily_unavailable'],
    [new InternalError('the secret is x'), 500, 'server_error'],
  ])('%s is %d %s', (error, status, code) => {
    const answer = toOAuthAnswer(error, 'request-1');
    expect([answer.status, answer.body.error]).toEqual([status, code]);
    expect(Object.keys(answer.body)).toEqual(['error', 'error_description']);
    expect(answer.body.error_description).toMatch(DESCRIPTION);
    expect(answer.body.error_description).not.toContain('secret');
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  it('keeps the status of every code that asks the client to wait or reports a failure of ours', () => {
    const codes = Object.entries(PROBLEM_CATALOGUE).filter(([, { status }]) => status === 429 || status >= 500);
    expect(codes.length).toBeGreaterThanOrEqual(5);
    for (const [code, { status }] of codes) {
      expect([code, toOAuthAnswer(new AnyError(code as ProblemCode), 'request-1').status]).toEqual([code, status]);
    }
  });

  it('says when to retry, and challenges a client that tried to authenticate by header, never with Basic', () => {
    expect(toOAuthAnswer(new TooManyAttemptsError('x', 7.2), 'r').headers['retry-after']).toBe('8');
    expect(toOAuthAnswer(new OutcomeUnknownError(), 'r').headers['retry-after']).toBe('1');
    expect(toOAuthAnswer(new ClientCredentialsInHeaderError(), 'r').headers['www-authenticate']).toBe(
      'Bearer realm="ratchet"',
    );
    for (const error of [new InvalidClientError('x'), new RefreshTokenInvalidError()]) {
      expect(toOAuthAnswer(error, 'r').headers).not.toHaveProperty('www-authenticate');
    }
  });
});
