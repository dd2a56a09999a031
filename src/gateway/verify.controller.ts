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
  /** Every method and every path below: `platform/http/forward-auth.ts` has made them this one. */
  @Get('verify')
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Whether a gateway may let a request through',
    description:
      'For forward authentication (nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth, Envoy ext_authz): any ' +
      'method, any path below this one, any body, which is not read. The answer is empty. On 200 all identity headers ' +
      'are there, empty where there is nothing to say; on a denial `X-Auth-Error` names the reason.',
  })
  @ApiHeader({
    name: 'X-Require-Role',
    required: false,
    description: 'Roles the user must have: `a,b` means both, `a|b` either.',
  })
  @ApiOkResponse({
    description: 'The token is good.',
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
      'No good token; `X-Auth-Error` is `access_token_missing`, `access_token_invalid`, `access_token_expired` or ' +
      '`access_token_revoked`.',
  })
  @ApiResponse({ status: 403, description: 'A role is missing; `X-Auth-Error` is `insufficient_role`.' })
  @ApiResponse({ status: 503, description: 'It cannot be told now; `X-Auth-Error` is `temporarily_unavailable`.' })
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
