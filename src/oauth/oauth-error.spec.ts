import { describe, expect, it } from '@jest/globals';
import {
  AccountDisabledError,
  type DomainError,
  MalformedRequestError,
  OutcomeUnknownError,
  OverloadedError,
  TemporarilyUnavailableError,
  ValidationFailedError,
} from '../platform/common/domain.errors.js';
import {
  InternalError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
} from '../platform/http/problems/http.errors.js';
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
import { InvalidClientError, MalformedScopeError, UnsupportedGrantTypeError } from './oauth.errors.js';

/** RFC 6749 section 5.2. */
const DESCRIPTION = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;

describe('an error as OAuth clients read it', () => {
  it.each<[DomainError, number, string]>([
    [new RefreshTokenInvalidError(), 400, 'invalid_grant'],
    [new RefreshTokenReusedError(), 400, 'invalid_grant'],
    [new SessionRevokedError(), 400, 'invalid_grant'],
    [new SessionExpiredError(), 400, 'invalid_grant'],
    [new AccountDisabledError(), 400, 'invalid_grant'],
    [new InvalidClientError('x'), 400, 'invalid_client'],
    [new InvalidClientError('x', true), 401, 'invalid_client'],
    [new UnsupportedGrantTypeError(), 400, 'unsupported_grant_type'],
    [new MalformedScopeError(), 400, 'invalid_scope'],
    [new RolesNotGrantedError(), 400, 'invalid_scope'],
    [new ValidationFailedError([{ field: 'token', message: 'must be sent' }]), 400, 'invalid_request'],
    [new MalformedRequestError(), 400, 'invalid_request'],
    [new IdempotencyKeyReusedError(), 400, 'invalid_request'],
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

  it('says when to come back, and challenges whoever tried to authenticate by header, never with Basic', () => {
    expect(toOAuthAnswer(new TooManyAttemptsError('x', 7.2), 'r').headers['retry-after']).toBe('8');
    expect(toOAuthAnswer(new OutcomeUnknownError(), 'r').headers['retry-after']).toBe('1');
    expect(toOAuthAnswer(new InvalidClientError('x', true), 'r').headers['www-authenticate']).toBe(
      'Bearer realm="ratchet"',
    );
    for (const error of [new InvalidClientError('x'), new RefreshTokenInvalidError()]) {
      expect(toOAuthAnswer(error, 'r').headers).not.toHaveProperty('www-authenticate');
    }
  });
});
