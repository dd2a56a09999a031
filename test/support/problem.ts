import { expect } from 'vitest';
import type { Response } from 'supertest';
import type { ErrorCode, FieldError, ProblemCode } from '../../src/platform/common/domain.errors.js';
import { definitionOf, PROBLEM_CATALOGUE } from '../../src/platform/http/problems/problem.catalogue.js';

const BEARER_ERRORS: Readonly<Partial<Record<ProblemCode, string>>> = {
  access_token_invalid: 'invalid_token',
  access_token_expired: 'invalid_token',
  access_token_revoked: 'invalid_token',
  insufficient_user_authentication: 'insufficient_user_authentication',
  insufficient_role: 'insufficient_scope',
};

/** The whole answer is the one problem that this code stands for: status, media type, challenge and body. */
export function expectProblem(
  response: Pick<Response, 'status'> & { readonly headers: object; readonly body: unknown },
  code: ProblemCode,
  errors?: readonly FieldError[],
): void {
  const { status, title, detail } = PROBLEM_CATALOGUE[code];
  const headers = response.headers as Readonly<Record<string, string>>;
  expect({
    status: response.status,
    contentType: headers['content-type'],
    cacheControl: headers['cache-control'],
    challenge: headers['www-authenticate'],
    body: response.body,
  }).toEqual({
    status,
    contentType: 'application/problem+json',
    cacheControl: 'no-store',
    challenge: challengeOf(code),
    body: {
      type: `urn:ratchet:problem:${code}`,
      title,
      status,
      detail,
      code,
      ...(errors !== undefined && { errors }),
      request_id: headers['x-request-id'],
    },
  });
}

/** The code behind a refused refresh at the route for OAuth clients, which are told only its sentence. */
export function oauthCodeOf({ body }: { readonly body: unknown }): ErrorCode {
  const description = (body as { readonly error_description?: string }).error_description;
  const codes: readonly ErrorCode[] = ['roles_not_granted', ...(Object.keys(PROBLEM_CATALOGUE) as ProblemCode[])];
  const code = codes.find((each) => definitionOf(each).detail === description);
  if (code === undefined) {
    throw new Error(`not the sentence of a code: ${String(description)}`);
  }
  return code;
}

function challengeOf(code: ProblemCode): string | undefined {
  const { status, detail } = PROBLEM_CATALOGUE[code];
  const error = BEARER_ERRORS[code];
  if (error !== undefined) {
    const maxAge = code === 'insufficient_user_authentication' ? ', max_age=300' : '';
    return `Bearer realm="ratchet", error="${error}", error_description="${detail}"${maxAge}`;
  }
  return status === 401 ? 'Bearer realm="ratchet"' : undefined;
}
