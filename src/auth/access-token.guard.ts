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
import type { AuthenticatedRequest } from './auth.types.js';
import { readBearerToken } from './bearer-token.js';

/**
 * Lets a request pass when it carries a valid access token of a session that has not ended. Global and deny by default:
 * a route is open only where it says `@Public()`.
 *
 * @throws AccessTokenMissingError, AccessTokenInvalidError, AccessTokenExpiredError, AccessTokenRevokedError
 * @throws TemporarilyUnavailableError when the revocation feed is too old to tell
 */
@Injectable()
export class AccessTokenGuard extends AuthGuard() {
  constructor(
    options: AuthModuleOptions,
    private readonly reflector: Reflector,
    private readonly feed: RevocationFeed,
  ) {
    super(options);
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC_ROUTE, targets) === true) {
      return true;
    }
    const policy = this.reflector.getAllAndOverride<AccessPolicy | undefined>(ACCESS_POLICY, targets);
    const bearer = readBearerToken(context.switchToHttp().getRequest<FastifyRequest>().raw);
    if (bearer.kind === 'absent' && policy?.isTokenOptional === true) {
      return true;
    }
    if (bearer.kind !== 'present') {
      throw bearer.kind === 'absent' ? new AccessTokenMissingError() : new AccessTokenInvalidError('header syntax');
    }
    await super.canActivate(context);
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (policy === undefined && (await this.feed.isRevoked(user.sessionId))) {
      throw new AccessTokenRevokedError();
    }
    return true;
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
