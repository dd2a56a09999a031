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

type Answer = Pick<Response, 'status'> & { readonly headers: object; readonly body: unknown };

/** The whole answer is the one problem that this code stands for: status, media type, challenge and body. */
export function expectProblem(response: Answer, code: ProblemCode, errors?: readonly FieldError[]): void {
  expectChallenge(response, code, challengeOf(code), errors);
}

/** The answer asks for a step-up, and its challenge says which. Without members, no user can do what is asked. */
export function expectStepUpDemand(
  response: Answer,
  { acr, maxAge }: { readonly acr?: string; readonly maxAge?: number },
): void {
  const code = 'insufficient_user_authentication';
  const acrValues = acr === undefined ? '' : `, acr_values="${acr}"`;
  expectChallenge(response, code, bearerError(code) + acrValues + (maxAge === undefined ? '' : `, max_age=${maxAge}`));
}

function expectChallenge(
  response: Answer,
  code: ProblemCode,
  challenge: string | undefined,
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
    challenge,
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
  if (code in BEARER_ERRORS) {
    return bearerError(code) + (code === 'insufficient_user_authentication' ? ', max_age=300' : '');
  }
  return PROBLEM_CATALOGUE[code].status === 401 ? 'Bearer realm="ratchet"' : undefined;
}

function bearerError(code: ProblemCode): string {
  return `Bearer realm="ratchet", error="${BEARER_ERRORS[code] ?? ''}", error_description="${PROBLEM_CATALOGUE[code].detail}"`;
}
