import { Controller, Get, Headers, Req, Res, UseFilters } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiProperty,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { BEARER_PROBLEMS, InsufficientRoleError, InsufficientUserAuthenticationError } from '../auth/auth.errors.js';
import type { AuthenticatedRequest, Identity } from '../auth/auth.types.js';
import { meetsAuthentication } from '../auth/authentication-demand.js';
import type { ProblemCode } from '../platform/common/domain.errors.js';
import { DatabaseClock } from '../platform/database/database-clock.js';
import { ACCESS_TOKEN_SCHEME } from '../platform/http/openapi.js';
import { ApiEdgeProblems, ApiProblems } from '../platform/http/problems/api-problems.js';
import { asksForJson } from './asks-for-json.js';
import { DenialFilter } from './denial.filter.js';
import { identityHeaders } from './identity-headers.js';
import { parseRequiredAuthentication } from './required-authentication.js';
import { meets, parseRequiredRoles } from './required-roles.js';

class VerifiedDto {
  @ApiProperty({ format: 'uuid', example: '5b0e2b5c-5c0b-4d0a-9d3e-0f6a3c1b2a10', description: 'The user.' })
  readonly sub!: string;

  @ApiProperty({ format: 'uuid', example: '0b8c4a4e-9f1e-4f0a-8f55-6b6f3f7f4f10', description: 'The session.' })
  readonly sid!: string;

  @ApiProperty({ type: [String], example: ['admin'], description: 'Empty without roles.' })
  readonly roles!: readonly string[];

  @ApiProperty({ example: 'admin', description: 'The same roles, space-separated; empty without roles.' })
  readonly scope!: string;

  @ApiProperty({
    type: 'integer',
    example: 1764700000,
    description: 'The end of the token, in seconds since the epoch.',
  })
  readonly exp!: number;

  @ApiProperty({
    type: 'integer',
    example: 1764699700,
    description:
      'When the user last proved who they are, in seconds since the epoch; a refresh does not move it. 0 when the token does ' +
      'not say.',
  })
  readonly auth_time!: number;

  @ApiProperty({
    example: 'aal1',
    description:
      'How much the user has proved: `aal1`, one factor, also when the token does not say; `aal2`, two; `phr`, a passkey.',
  })
  readonly acr!: string;

  @ApiProperty({
    type: [String],
    example: ['pwd'],
    description: 'How the user proved it, by the names of RFC 8176. Empty when the token does not say.',
  })
  readonly amr!: readonly string[];
}

/** Documents where the reason of a denial is. A request that is refused before it is judged has no `X-Auth-Error`. */
function ApiDenial(status: number, codes: readonly ProblemCode[]): MethodDecorator {
  const reason = { description: 'The code of the reason.', schema: { type: 'string' as const, enum: [...codes] } };
  return ApiResponse({
    status,
    description: 'The body is only there if it was asked for.',
    headers: { 'X-Auth-Error': reason },
  });
}

@ApiTags('gateway')
@Controller('auth')
@UseFilters(DenialFilter)
export class VerifyController {
  constructor(private readonly clock: DatabaseClock) {}

  /**
   * Answers every method and every path below, which `platform/http/forward-auth.ts` turns into this route. Takes the
   * reply (`@Res()`) because the answer is headers that depend on the user, with a body only where one is asked for.
   */
  @Get('verify')
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Tell a gateway whether it may let a request through',
    description:
      'For forward authentication (nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth, Envoy ext_authz): any ' +
      'method, any path below this one, any body, which is not read. On 200 all identity headers are present, those ' +
      'without a value empty; on a denial `X-Auth-Error` has the `code` of the problem. The answer has a body only if ' +
      '`Accept` names `application/json` itself.',
  })
  @ApiHeader({
    name: 'X-Require-Role',
    required: false,
    description: 'Roles the user must have: `a,b` means both, `a|b` either. Bad syntax is a role that no user has.',
    schema: { type: 'string' },
  })
  @ApiHeader({
    name: 'X-Require-Acr',
    required: false,
    description:
      'The weakest class that may pass: `aal1`, `aal2` or `phr`. Of several, the strictest counts. No user has another.',
    schema: { type: 'string' },
  })
  @ApiHeader({
    name: 'X-Require-Max-Age',
    required: false,
    description:
      'How many whole seconds ago the user may have signed in or stepped up. Of several, the least counts. Bad syntax denies.',
    schema: { type: 'string' },
  })
  @ApiOkResponse({
    type: VerifiedDto,
    description: 'The token is valid. The body is only there if it was asked for.',
    headers: {
      'X-User-Id': { schema: { type: 'string' }, description: 'The `sub` of the token.' },
      'X-User-Roles': { schema: { type: 'string' }, description: 'Comma-separated.' },
      'X-User-Scope': { schema: { type: 'string' }, description: 'The same roles, space-separated.' },
      'X-Session-Id': { schema: { type: 'string' }, description: 'The `sid` of the token.' },
      'X-Token-Id': { schema: { type: 'string' }, description: 'The `jti` of the token.' },
      'X-Token-Expires-At': { schema: { type: 'string' }, description: 'Whole seconds since the epoch.' },
      'X-Auth-Acr': { schema: { type: 'string' }, description: 'The `acr` of the token.' },
      'X-Auth-Amr': { schema: { type: 'string' }, description: 'The `amr` of the token, comma-separated.' },
      'X-Auth-Time': { schema: { type: 'string' }, description: 'The `auth_time` of the token; 0 without one.' },
    },
  })
  @ApiProblems(...BEARER_PROBLEMS, 'insufficient_role', 'insufficient_user_authentication', 'temporarily_unavailable')
  @ApiEdgeProblems('malformed_request', 'headers_too_large', 'overloaded')
  @ApiDenial(401, [...BEARER_PROBLEMS, 'insufficient_user_authentication'])
  @ApiDenial(403, ['insufficient_role'])
  // A defect as well, because nginx would turn its 500 into one of its own.
  @ApiDenial(503, ['temporarily_unavailable', 'internal_error'])
  verify(
    @Req() { user, headers }: AuthenticatedRequest,
    @Headers('x-require-role') requireRole: string | undefined,
    @Headers('x-require-acr') requireAcr: string | undefined,
    @Headers('x-require-max-age') requireMaxAge: string | undefined,
    @Res() reply: FastifyReply,
  ): void {
    const required = parseRequiredRoles(requireRole);
    if (required === undefined || !meets(user.roles, required)) {
      throw new InsufficientRoleError(required === undefined ? 'X-Require-Role has bad syntax' : 'X-Require-Role');
    }
    if (requireAcr !== undefined || requireMaxAge !== undefined) {
      const demand = parseRequiredAuthentication(requireAcr, requireMaxAge);
      if (demand === undefined || !meetsAuthentication(user, demand, this.clock.nowSeconds())) {
        throw new InsufficientUserAuthenticationError(demand ?? {});
      }
    }
    void reply.headers(identityHeaders(user)).send(asksForJson(headers) ? toVerifiedDto(user) : undefined);
  }
}

function toVerifiedDto(identity: Identity): VerifiedDto {
  const { userId, sessionId, roles, expiresAtSeconds, authenticatedAtSeconds, acr, amr } = identity;
  const session = { sub: userId, sid: sessionId, roles, scope: roles.join(' '), exp: expiresAtSeconds };
  return { ...session, auth_time: authenticatedAtSeconds, acr, amr };
}
