import { Controller, Header, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { AccessTokensService } from '../auth/access-tokens/access-tokens.service.js';
import type { Client } from '../auth/auth.types.js';
import { SessionCookiesService } from '../auth/cookies/session-cookies.service.js';
import { ApiIdempotencyKey, IdempotencyKey } from '../auth/idempotency-key.decorator.js';
import { CurrentClient } from '../auth/request.decorators.js';
import { SessionsService } from '../auth/sessions/sessions.service.js';
import { ValidationFailedError } from '../platform/common/domain.errors.js';
import { Public } from '../platform/common/public.decorator.js';
import { type Form, FormBody, FormRoute } from '../platform/http/form-route.js';
import { RefreshTokenInvalidError } from '../tokens/tokens.errors.js';
import { ApiOAuthErrors, PRAGMA_HEADER } from './api-oauth-errors.decorator.js';
import { requireKnownClient } from './client-identification.js';
import { sendOAuthError } from './oauth-error.js';
import { OAuthRevocationRequestDto, OAuthTokenDto, OAuthTokenRequestDto, toOAuthTokenDto } from './oauth.dto.js';
import { UnsupportedGrantTypeError } from './oauth.errors.js';
import { parseScope } from './scope.js';

@ApiTags('oauth')
@Controller('oauth')
export class OAuthController {
  constructor(
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokensService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('token')
  @Public()
  @FormRoute(sendOAuthError)
  @HttpCode(200)
  // In addition to `Cache-Control: no-store`, for HTTP/1.0 caches (RFC 6749 section 5.1).
  @Header('Pragma', 'no-cache')
  @ApiOperation({
    summary: 'Exchange a refresh token (RFC 6749 section 6)',
    description:
      'The same exchange as `POST /auth/refresh`, under the same rules and with the same `Idempotency-Key`, for the public ' +
      'client `ratchet`. Only `invalid_grant` means that the token is lost. `refresh_expires_in` is an addition to RFC 6749.',
  })
  @ApiBody({ type: OAuthTokenRequestDto })
  @ApiIdempotencyKey()
  @ApiOkResponse({
    type: OAuthTokenDto,
    description: 'The next pair of the session; the presented token is dead.',
    headers: PRAGMA_HEADER,
  })
  @ApiOAuthErrors('invalid_grant', 'unsupported_grant_type', 'invalid_scope')
  async exchangeToken(
    @FormBody() form: Form,
    @IdempotencyKey() idempotencyKey: string | undefined,
    @CurrentClient() client: Client,
    @Req() request: FastifyRequest,
  ): Promise<OAuthTokenDto> {
    requireKnownClient(form, request);
    if (this.cookies.isCookieRequest(request)) {
      throw new ValidationFailedError([{ field: 'Origin', message: 'is one whose sessions live in cookies' }]);
    }
    if (required(form, 'grant_type') !== 'refresh_token') {
      throw new UnsupportedGrantTypeError();
    }
    const pair = await this.sessions.refresh(required(form, 'refresh_token'), {
      idempotencyKey,
      requestedRoles: parseScope(form.get('scope')),
      client,
      isAbandoned: () => request.raw.socket.destroyed,
    });
    return toOAuthTokenDto(pair);
  }

  @Post('revoke')
  @Public()
  @FormRoute(sendOAuthError)
  @HttpCode(200)
  @ApiOperation({
    summary: 'End the session of a token (RFC 7009)',
    description:
      'The same as `POST /auth/logout`, by refresh token or access token. An unknown or expired token needs no revoking: ' +
      'that is a success too. The session’s access tokens are refused at once.',
  })
  @ApiBody({ type: OAuthRevocationRequestDto })
  @ApiOkResponse({
    description: 'The token no longer works. The body is an empty object, which says nothing more.',
    content: { 'application/json': { schema: { type: 'object', maxProperties: 0, example: {} } } },
  })
  @ApiOAuthErrors()
  async revokeToken(
    @FormBody() form: Form,
    @CurrentClient() client: Client,
    @Req() request: FastifyRequest,
  ): Promise<object> {
    requireKnownClient(form, request);
    const token = required(form, 'token');
    // `token_type_hint` is ignored, because it may be wrong or unknown (RFC 7009 section 2.1).
    const identity = this.accessTokens.identify(token);
    try {
      await this.sessions.logout(identity === undefined ? token : undefined, identity, client);
    } catch (error) {
      // RFC 7009 section 2.2: an invalid token is a success, because the client could do nothing about an error.
      if (!(error instanceof RefreshTokenInvalidError)) {
        throw error;
      }
    }
    return {};
  }
}

/** @throws ValidationFailedError */
function required(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined) {
    throw new ValidationFailedError([{ field: name, message: 'must be sent' }]);
  }
  return value;
}
