import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { ApiEdgeProblems } from '../platform/http/problems/api-problems.js';
import type { OAuthErrorCode } from './oauth-error.js';
import { OAuthErrorDto } from './oauth.dto.js';

/** Documents what every answer of RFC 6749 section 5 carries. */
export const PRAGMA_HEADER = {
  Pragma: { description: '`no-cache`, for caches of HTTP/1.0.', schema: { type: 'string' as const } },
};

const OF_EVERY_ROUTE: readonly (readonly [status: number, error: OAuthErrorCode, when: string])[] = [
  [400, 'invalid_request', 'A parameter or header is missing, repeated, or not of the documented shape.'],
  [400, 'invalid_client', 'The `client_id` is missing or unknown, or a secret was sent.'],
  [401, 'invalid_client', 'A secret came in the `Authorization` header; the client is public and has none.'],
  [405, 'invalid_request', 'Another method than `POST`; `Allow` says so.'],
  [413, 'invalid_request', 'The body is larger than 16 KiB.'],
  [415, 'invalid_request', 'The body is not a form in UTF-8.'],
  [429, 'temporarily_unavailable', 'Too many refused tokens recently; wait as long as `Retry-After` says.'],
  [500, 'server_error', 'A defect; quote the `X-Request-Id` of the answer when you report it.'],
  [503, 'temporarily_unavailable', 'Wait as long as `Retry-After` says, then retry with the same `Idempotency-Key`.'],
];

const OF_SOME_ROUTES: Readonly<Partial<Record<OAuthErrorCode, string>>> = {
  invalid_grant: 'The refresh token no longer works: sign in again.',
  unsupported_grant_type: 'Another `grant_type` than `refresh_token`.',
  invalid_scope: 'The `scope` asks for more than the roles of the user. Nothing was done.',
};

/** Documents the errors of every OAuth route, and `codes` of this one. */
export function ApiOAuthErrors(
  ...codes: readonly ('invalid_grant' | 'unsupported_grant_type' | 'invalid_scope')[]
): MethodDecorator & ClassDecorator {
  const content = { 'application/json': { schema: { $ref: getSchemaPath(OAuthErrorDto) } } };
  const errors = [...OF_EVERY_ROUTE, ...codes.map((code) => [400, code, OF_SOME_ROUTES[code] ?? ''] as const)];
  return applyDecorators(
    ApiExtraModels(OAuthErrorDto),
    ...[...new Set(errors.map(([status]) => status))].map((status) =>
      ApiResponse({
        status,
        description: errors
          .filter(([ofStatus]) => ofStatus === status)
          .map(([, error, when]) => `\`${error}\`: ${when}`)
          .join('\n\n'),
        headers: PRAGMA_HEADER,
        content,
      }),
    ),
    ApiResponse({ status: 'default', description: 'Any other error.', content }),
    // Before the path is known.
    ApiEdgeProblems('headers_too_large'),
  );
}
