import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard, AuthModuleOptions } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../common/domain.errors.js';
import { isError, messageOf } from '../common/is-error.js';
import { PUBLIC_ROUTE } from '../common/public.decorator.js';
import { RevocationFeed } from '../tokens/revocation-feed.service.js';
import { ACCESS_POLICY, type AccessPolicy } from './access-policy.decorator.js';
import {
  AccessTokenExpiredError,
  AccessTokenInvalidError,
  AccessTokenMissingError,
  AccessTokenRevokedError,
} from './auth.errors.js';
import type { AuthenticatedRequest, Identity } from './auth.types.js';
import { readBearerToken } from './bearer-token.js';
import { VerifiedTokens } from './verified-tokens.service.js';

interface RouteMark {
  readonly isPublic: boolean;
  readonly policy: AccessPolicy | undefined;
}

/**
 * Lets a request pass when it carries a valid access token of a session that has not ended. Global and deny by default:
 * a route is open only where it says `@Public()`.
 *
 * @throws AccessTokenMissingError, AccessTokenInvalidError, AccessTokenExpiredError, AccessTokenRevokedError
 * @throws TemporarilyUnavailableError when the revocation feed is too old to tell
 */
@Injectable()
export class AccessTokenGuard extends AuthGuard() {
  private readonly marks = new WeakMap<object, RouteMark>();

  constructor(
    options: AuthModuleOptions,
    private readonly reflector: Reflector,
    private readonly feed: RevocationFeed,
    private readonly verifiedTokens: VerifiedTokens,
  ) {
    super(options);
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const { isPublic, policy } = this.markOf(context);
    if (isPublic) {
      return true;
    }
    const bearer = readBearerToken(context.switchToHttp().getRequest<FastifyRequest>().raw);
    if (bearer.kind === 'absent' && policy?.isTokenOptional === true) {
      return true;
    }
    if (bearer.kind !== 'present') {
      throw bearer.kind === 'absent' ? new AccessTokenMissingError() : new AccessTokenInvalidError('header syntax');
    }
    const identity = await this.identify(bearer.token, context);
    if (policy === undefined && (await this.feed.isRevoked(identity.sessionId))) {
      throw new AccessTokenRevokedError();
    }
    return true;
  }

  /** A token that has been verified before is known; any other goes through passport. Both put it on the request. */
  private async identify(token: string, context: ExecutionContext): Promise<Identity> {
    const request = context.switchToHttp().getRequest<Partial<AuthenticatedRequest>>();
    const known = this.verifiedTokens.find(token);
    if (known !== undefined) {
      request.user = known;
      return known;
    }
    await super.canActivate(context);
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    this.verifiedTokens.remember(token, user);
    return user;
  }

  /** What the decorators of a route say; they say it once, and are asked with every request. */
  private markOf(context: ExecutionContext): RouteMark {
    const handler = context.getHandler();
    const known = this.marks.get(handler);
    if (known !== undefined) {
      return known;
    }
    const targets = [handler, context.getClass()];
    const mark = {
      isPublic: this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC_ROUTE, targets) === true,
      policy: this.reflector.getAllAndOverride<AccessPolicy | undefined>(ACCESS_POLICY, targets),
    };
    this.marks.set(handler, mark);
    return mark;
  }

  /** Says in our words why passport refused; `info` is what the strategy or jsonwebtoken failed with. */
  override handleRequest<Identity>(error: unknown, identity: Identity | false, info: unknown): Identity {
    if (isError(error)) {
      throw error;
    }
    if (identity !== false) {
      return identity;
    }
    if (info instanceof DomainError) {
      throw info;
    }
    if (isError(info) && info.name === 'TokenExpiredError') {
      throw new AccessTokenExpiredError();
    }
    throw new AccessTokenInvalidError(messageOf(info));
  }
}
