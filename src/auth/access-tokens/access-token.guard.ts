import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard, AuthModuleOptions } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../../platform/common/domain.errors.js';
import { messageOf } from '../../platform/common/message-of.js';
import { PUBLIC_ROUTE } from '../../platform/common/public.decorator.js';
import { RevokedSessionsService } from '../../tokens/revoked-sessions.service.js';
import { ACCESS_POLICY, type AccessPolicy } from './access-policy.decorator.js';
import { AccessTokenInvalidError, AccessTokenMissingError, AccessTokenRevokedError } from '../auth.errors.js';
import type { AuthenticatedRequest, Identity } from '../auth.types.js';
import { SessionCookiesService } from '../cookies/session-cookies.service.js';
import { readBearerToken } from './bearer-token.js';
import { RouteMarks } from './route-marks.js';
import { VerifiedTokensService } from './verified-tokens.service.js';

/**
 * Lets a request pass when it carries a valid access token of a session that has not ended. Global, and denies by
 * default: a route is open only with `@Public()`.
 *
 * @throws AccessTokenMissingError, AccessTokenInvalidError, AccessTokenExpiredError, AccessTokenRevokedError
 * @throws CrossSiteRequestError, MalformedRequestError when the token is in a cookie that does not count
 * @throws TemporarilyUnavailableError when the revocation feed is stale
 */
@Injectable()
export class AccessTokenGuard extends AuthGuard() {
  private readonly marks: RouteMarks<{ readonly isPublic: boolean; readonly policy: AccessPolicy | undefined }>;

  constructor(
    options: AuthModuleOptions,
    reflector: Reflector,
    private readonly revoked: RevokedSessionsService,
    private readonly verifiedTokens: VerifiedTokensService,
    private readonly cookies: SessionCookiesService,
  ) {
    super(options);
    this.marks = new RouteMarks((targets) => ({
      isPublic: reflector.getAllAndOverride<boolean | undefined>(PUBLIC_ROUTE, targets) === true,
      policy: reflector.getAllAndOverride<AccessPolicy | undefined>(ACCESS_POLICY, targets),
    }));
  }

  /** Answers at once for a token that this process has verified before; any other goes through passport. */
  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const { isPublic, policy } = this.marks.of(context);
    if (isPublic) {
      return true;
    }
    const request = context.switchToHttp().getRequest<FastifyRequest & Partial<AuthenticatedRequest>>();
    const isOptional = policy?.isTokenOptional === true;
    // At a logout an access cookie that has expired must not refuse what the other cookie authenticates.
    const isLogout = isOptional && policy.maySessionHaveEnded;
    const bearer = isLogout ? readBearerToken(request.raw) : this.cookies.accessTokenOf(request.raw);
    if (bearer.kind === 'absent' && isOptional) {
      return true;
    }
    if (bearer.kind !== 'present') {
      throw bearer.kind === 'absent' ? new AccessTokenMissingError() : new AccessTokenInvalidError('header syntax');
    }
    const known = this.verifiedTokens.find(bearer.token);
    if (known === undefined) {
      return this.verify(bearer.token, policy, context);
    }
    request.user = known;
    return this.requireLiveSession(known, policy);
  }

  private async verify(token: string, policy: AccessPolicy | undefined, context: ExecutionContext): Promise<boolean> {
    await super.canActivate(context);
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    this.verifiedTokens.remember(token, user);
    return this.requireLiveSession(user, policy);
  }

  private requireLiveSession({ sessionId }: Identity, policy: AccessPolicy | undefined): true | Promise<true> {
    if (policy?.maySessionHaveEnded === true) {
      return true;
    }
    const isRevoked = this.revoked.isRevoked(sessionId);
    return typeof isRevoked === 'boolean' ? refuseIf(isRevoked) : isRevoked.then(refuseIf);
  }

  /** Turns passport's refusal into an error of ours; `info` is what the strategy or jsonwebtoken failed with. */
  override handleRequest<Identity>(error: unknown, identity: Identity | false, info: unknown): Identity {
    if (error instanceof Error) {
      throw error;
    }
    if (identity !== false) {
      return identity;
    }
    if (info instanceof DomainError) {
      throw info;
    }
    throw new AccessTokenInvalidError(messageOf(info));
  }
}

function refuseIf(isRevoked: boolean): true {
  if (isRevoked) {
    throw new AccessTokenRevokedError();
  }
  return true;
}
