import { HttpException } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import {
  DomainError,
  type ErrorCode,
  type ProblemCode,
  TemporarilyUnavailableError,
  ValidationFailedError,
} from '../../common/domain.errors.js';
import { toDomainError } from './error-translation.js';
import { MethodNotAllowedError } from './http.errors.js';
import { toProblem } from './problem.js';
import { PROBLEM_CATALOGUE } from './problem.catalogue.js';

class AnyError extends DomainError {
  constructor(
    readonly code: ProblemCode,
    readonly retryAfterSeconds?: number,
  ) {
    super('for the log only');
  }
}

const CODES = Object.keys(PROBLEM_CATALOGUE) as ProblemCode[];

describe('toProblem', () => {
  it.each(CODES)('says a constant sentence for %s, and the request id', (code) => {
    const { status, title, detail } = PROBLEM_CATALOGUE[code];
    expect(toProblem(new AnyError(code), 'r1').body).toEqual({
      type: `urn:ratchet:problem:${code}`,
      title,
      status,
      detail,
      code,
      request_id: 'r1',
    });
  });

  it.each(CODES)('has a sentence for %s that fits in a quoted string of a header', (code) => {
    expect(PROBLEM_CATALOGUE[code].detail).toMatch(/^[ !#-[\]-~]+$/);
  });

  it('challenges on every 401, with an error only where a bearer token was refused (RFC 6750 section 3.1)', () => {
    const challengeOf = (code: ProblemCode): string | undefined =>
      toProblem(new AnyError(code), 'r1').headers['www-authenticate'];
    for (const code of CODES.filter((each) => PROBLEM_CATALOGUE[each].status === 401)) {
      expect(challengeOf(code)).toMatch(/^Bearer realm="ratchet"/);
    }
    expect(challengeOf('access_token_missing')).toBe('Bearer realm="ratchet"');
    expect(challengeOf('invalid_credentials')).toBe('Bearer realm="ratchet"');
    expect(challengeOf('access_token_revoked')).toBe(
      'Bearer realm="ratchet", error="invalid_token", error_description="The session of this access token has ended."',
    );
    expect(challengeOf('insufficient_role')).toBe(
      'Bearer realm="ratchet", error="insufficient_scope", error_description="The access token does not carry a role that this resource asks for."',
    );
    expect(challengeOf('not_found')).toBeUndefined();
  });

  it('says when to retry: after a second on every 503, or as the error asks, in whole seconds', () => {
    const retryAfter = (error: DomainError): string | undefined => toProblem(error, 'r1').headers['retry-after'];
    expect(retryAfter(new AnyError('overloaded'))).toBe('1');
    expect(retryAfter(new AnyError('outcome_unknown'))).toBe('1');
    expect(retryAfter(new AnyError('invalid_credentials', 61.2))).toBe('62');
    expect(retryAfter(new AnyError('invalid_credentials', 0))).toBe('1');
    expect(retryAfter(new AnyError('internal_error'))).toBeUndefined();
  });

  it('lists what was wrong with a request, and which methods a path has', () => {
    const errors = [{ field: 'email', message: 'must be a string' }];
    expect(toProblem(new ValidationFailedError(errors), 'r1').body).toMatchObject({ errors });
    expect(toProblem(new MethodNotAllowedError(['GET', 'HEAD']), 'r1').headers).toMatchObject({ allow: 'GET, HEAD' });
  });
});

describe('toDomainError', () => {
  const codeOf = (error: unknown): ErrorCode => toDomainError(error).code;

  it('lets our own errors say what they are', () => {
    const error = new AnyError('session_expired');
    expect(toDomainError(error)).toBe(error);
  });

  it.each([
    [400, 'malformed_request'],
    [404, 'not_found'],
    [413, 'payload_too_large'],
    [414, 'not_found'],
    [415, 'unsupported_media_type'],
    [418, 'malformed_request'],
    [431, 'headers_too_large'],
    [500, 'internal_error'],
    [502, 'internal_error'],
  ])("maps a framework's %d to %s", (status, code) => {
    expect(codeOf(new HttpException('', status))).toBe(code);
    expect(codeOf(Object.assign(new Error(), { statusCode: status }))).toBe(code);
  });

  it('turns an unavailable database into a 503, and an aborted request into a fault of the client', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect(toDomainError(refused)).toBeInstanceOf(TemporarilyUnavailableError);
    expect(codeOf(Object.assign(new Error('aborted'), { code: 'ECONNRESET', statusCode: 400 }))).toBe(
      'malformed_request',
    );
  });

  it.each([undefined, null, 'text', new TypeError('a defect')])('takes %p for a defect', (thrown) => {
    expect(codeOf(thrown)).toBe('internal_error');
  });
});
