import { Body, Controller, Get, HttpCode, Post, Req, Res } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiSecurity,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ValidationFailedError } from '../platform/common/domain.errors.js';
import { Public } from '../platform/common/public.decorator.js';
import { ACCESS_TOKEN_SCHEME } from '../platform/http/openapi.js';
import { ApiProblems } from '../platform/http/problems/api-problems.js';
import { RefreshTokenInvalidError } from '../tokens/tokens.errors.js';
import { UsersService } from '../users/users.service.js';
import { AllowEndedSession } from './access-tokens/access-policy.decorator.js';
import { AccountsService } from './accounts/accounts.service.js';
import {
  type CookieSessionDto,
  LoginDto,
  LogoutDto,
  PasswordChangeDto,
  RefreshTokenDto,
  TokenPairDto,
  toUserDto,
  UserDto,
} from './auth.dto.js';
import { AccessTokenRevokedError, BEARER_PROBLEMS } from './auth.errors.js';
import type { Client, Identity } from './auth.types.js';
import { SessionCookiesService } from './cookies/session-cookies.service.js';
import { ApiIdempotencyKey, IdempotencyKey } from './idempotency-key.decorator.js';
import { CurrentClient, CurrentIdentity } from './request.decorators.js';
import { SessionsService } from './sessions/sessions.service.js';

@ApiTags('auth')
@Controller('auth')
export class AuthController {
  constructor(
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accounts: AccountsService,
    private readonly cookies: SessionCookiesService,
  ) {}

  @Post('login')
  @Public()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Sign in: a new session and its first token pair',
    description: 'An unknown address and a wrong password get the same answer in the same time.',
  })
  @ApiOkResponse({ type: TokenPairDto, description: 'The first pair of a new session.' })
  @ApiProblems(
    'validation_failed',
    'invalid_credentials',
    'second_factor_required',
    'account_disabled',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async login(
    @Body() credentials: LoginDto,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    return this.cookies.answer(reply, await this.sessions.login(credentials.email, credentials.password, client));
  }

  @Post('refresh')
  @Public()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Exchange a refresh token for a new token pair',
    description:
      'Each refresh token is good for one exchange. Presenting one that was exchanged before ends the session, because a ' +
      'thief may hold a copy. Send a fresh `Idempotency-Key` with every refresh and keep it until the answer is ' +
      'stored: repeating the request with the same key returns the same new refresh token.',
  })
  @ApiIdempotencyKey()
  @ApiOkResponse({ type: TokenPairDto, description: 'The next pair of the session; the presented token is dead.' })
  @ApiProblems(
    'validation_failed',
    'refresh_token_invalid',
    'refresh_token_reused',
    'session_revoked',
    'session_expired',
    'account_disabled',
    'idempotency_key_reused',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async refresh(
    @IdempotencyKey() idempotencyKey: string | undefined,
    @CurrentClient() client: Client,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body() { refresh_token }: RefreshTokenDto = {},
  ): Promise<TokenPairDto | CookieSessionDto> {
    const isCookieRequest = this.cookies.isCookieRequest(request);
    const refreshToken = this.cookies.refreshTokenOf(request, refresh_token, { isAuthenticated: false });
    if (isCookieRequest && idempotencyKey === undefined) {
      // Without it a browser that repeats a lost request by itself would end the session. It also forces a preflight.
      throw new ValidationFailedError([{ field: 'Idempotency-Key', message: 'must be sent with a cookie' }]);
    }
    if (refreshToken === undefined) {
      // A page that asks whether it is signed in guesses nothing, so this counts against no limit.
      throw isCookieRequest
        ? new RefreshTokenInvalidError('no refresh cookie')
        : new ValidationFailedError([{ field: 'refresh_token', message: 'must be a string' }]);
    }
    const pair = await this.sessions.refresh(refreshToken, {
      idempotencyKey,
      client,
      isAbandoned: () => request.raw.socket.destroyed,
    });
    return this.cookies.answer(reply, pair);
  }

  @Post('logout')
  @AllowEndedSession({ isTokenOptional: true })
  @HttpCode(204)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiSecurity({})
  @ApiOperation({
    summary: 'End the session of a refresh token, of an access token, or of both',
    description:
      'Any refresh token of the session works, used or not. Ending a session that has already ended is a success.',
  })
  @ApiNoContentResponse({ description: 'The session has ended, and its access tokens with it.' })
  @ApiProblems(
    'validation_failed',
    'refresh_token_invalid',
    'access_token_invalid',
    'access_token_expired',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  @ApiBody({ type: LogoutDto, required: false })
  // A default instead of `| undefined`: for a union the compiler emits `Object`, and the body would not be validated.
  async logout(
    @CurrentClient() client: Client,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body() body: LogoutDto = {},
    @CurrentIdentity() identity?: Identity,
  ): Promise<void> {
    const isCookieRequest = this.cookies.isCookieRequest(request);
    const isAuthenticated = identity !== undefined;
    const refreshToken = this.cookies.refreshTokenOf(request, body.refresh_token, { isAuthenticated });
    if (refreshToken === undefined && !isAuthenticated && !isCookieRequest) {
      throw new ValidationFailedError([
        { field: 'refresh_token', message: 'must be sent, or an access token as Authorization: Bearer' },
      ]);
    }
    try {
      await this.sessions.logout(refreshToken, identity, client);
    } catch (error) {
      if (!isCookieRequest || !(error instanceof RefreshTokenInvalidError)) {
        throw error;
      }
      // A cookie that opens nothing is removed: no page can do that, and the next login need not.
      await this.sessions.logout(undefined, identity, client);
    }
    this.cookies.forget(reply);
  }

  @Post('logout-all')
  @AllowEndedSession()
  @HttpCode(204)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'End every session of the user',
    description: 'The access token of a session that has ended itself ends only those that were opened before its end.',
  })
  @ApiNoContentResponse({ description: 'These sessions have ended.' })
  @ApiProblems(
    'access_token_missing',
    'access_token_invalid',
    'access_token_expired',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async logoutAll(
    @CurrentIdentity() identity: Identity,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    await this.sessions.logoutAll(identity);
    this.cookies.forget(reply);
  }

  @Get('me')
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({ summary: 'The user of the access token', description: 'As it is now, not as it was at the login.' })
  @ApiOkResponse({ type: UserDto, description: 'The account.' })
  @ApiProblems(...BEARER_PROBLEMS, 'temporarily_unavailable')
  async me(@CurrentIdentity() identity: Identity): Promise<UserDto> {
    const user = await this.users.findById(identity.userId);
    if (user === undefined) {
      throw new AccessTokenRevokedError('the account has been deleted');
    }
    return toUserDto(user);
  }

  @Post('password')
  @HttpCode(200)
  @ApiBearerAuth(ACCESS_TOKEN_SCHEME)
  @ApiOperation({
    summary: 'Change the password',
    description:
      "Ends every session of the user, including the caller's, and returns the token pair of a new one. A user who has " +
      'a second factor has to have proved it within the last 300 seconds.',
  })
  @ApiOkResponse({ type: TokenPairDto, description: 'The first pair of a new session; all others have ended.' })
  @ApiProblems(
    'validation_failed',
    'invalid_credentials',
    ...BEARER_PROBLEMS,
    'insufficient_user_authentication',
    'account_disabled',
    'too_many_attempts',
    'temporarily_unavailable',
    'outcome_unknown',
  )
  async changePassword(
    @Body() { current_password, new_password }: PasswordChangeDto,
    @CurrentIdentity() identity: Identity,
    @CurrentClient() client: Client,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenPairDto | CookieSessionDto> {
    const pair = await this.accounts.changePassword(identity, current_password, new_password, client);
    return this.cookies.answer(reply, pair);
  }
}
