import { Controller, Get, Headers, Req, Res, UseFilters } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { InsufficientRoleError } from '../auth/auth.errors.js';
import type { AuthenticatedRequest } from '../auth/auth.types.js';
import { ACCESS_TOKEN_SCHEME } from '../platform/http/openapi.js';
import { DenialFilter } from './denial.filter.js';
import { identityHeaders } from './identity-headers.js';
import { meets, parseRequiredRoles } from './required-roles.js';

@ApiTags('gateway')
@Controller('auth')
@UseFilters(DenialFilter)
export class VerifyController {
  /**
   * Answers every method and every path below, which `platform/http/forward-auth.ts` turns into this route. Takes the
   * reply (`@Res()`) because the answer is headers that depend on the user, without a body.
   */
  @Get('verify')
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Tell a gateway whether it may let a request through',
    description:
      'For forward authentication (nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth, Envoy ext_authz): any ' +
      'method, any path below this one, any body, which is not read. The answer has no body. On 200 all identity headers ' +
      'are present, those without a value empty; on a denial `X-Auth-Error` names the reason.',
  })
  @ApiHeader({
    name: 'X-Require-Role',
    required: false,
    description: 'Roles the user must have: `a,b` means both, `a|b` either.',
  })
  @ApiOkResponse({
    description: 'The token is valid.',
    headers: {
      'X-User-Id': { schema: { type: 'string' }, description: 'The `sub` of the token.' },
      'X-User-Roles': { schema: { type: 'string' }, description: 'Comma-separated.' },
      'X-User-Scope': { schema: { type: 'string' }, description: 'The same roles, space-separated.' },
      'X-Session-Id': { schema: { type: 'string' }, description: 'The `sid` of the token.' },
      'X-Token-Id': { schema: { type: 'string' }, description: 'The `jti` of the token.' },
      'X-Token-Expires-At': { schema: { type: 'string' }, description: 'Whole seconds since the epoch.' },
    },
  })
  @ApiResponse({
    status: 401,
    description:
      'The token is missing or not valid; `X-Auth-Error` is `access_token_missing`, `access_token_invalid`, `access_token_expired` or ' +
      '`access_token_revoked`.',
  })
  @ApiResponse({ status: 403, description: 'A role is missing; `X-Auth-Error` is `insufficient_role`.' })
  @ApiResponse({
    status: 503,
    description: "The token's status cannot be determined right now; `X-Auth-Error` is `temporarily_unavailable`.",
  })
  verify(
    @Req() { user }: AuthenticatedRequest,
    @Headers('x-require-role') requireRole: string | undefined,
    @Res() reply: FastifyReply,
  ): void {
    const required = parseRequiredRoles(requireRole);
    if (required === undefined || !meets(user.roles, required)) {
      throw new InsufficientRoleError(required === undefined ? 'X-Require-Role has bad syntax' : 'X-Require-Role');
    }
    void reply.headers(identityHeaders(user)).send();
  }
}
