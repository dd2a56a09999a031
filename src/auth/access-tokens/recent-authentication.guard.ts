import { type CanActivate, type ExecutionContext, Injectable, UseGuards } from '@nestjs/common';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import type { AuthenticatedRequest } from '../auth.types.js';
import { RECENT_SECONDS, requireAuthentication } from '../authentication-demand.js';

/**
 * Lets only users pass who proved who they are within the last 300 seconds: the holder of a session that was left open, or
 * of a stolen token, is not enough. Runs after the access-token guard. A token that does not tell when is as old as can be.
 */
@Injectable()
export class RecentAuthenticationGuard implements CanActivate {
  constructor(private readonly clock: DatabaseClock) {}

  canActivate(context: ExecutionContext): true {
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    requireAuthentication(user, { maxAgeSeconds: RECENT_SECONDS }, this.clock.nowSeconds());
    return true;
  }
}

/** Marks a route that asks for a recent sign-in; its `@ApiProblems` lists `insufficient_user_authentication`. */
export const RequireRecentAuthentication = (): MethodDecorator => UseGuards(RecentAuthenticationGuard);
