import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { InsufficientRoleError } from './auth.errors.js';
import type { AuthenticatedRequest } from './auth.types.js';
import { REQUIRED_ROLES } from './roles.decorator.js';

/** Runs after the access-token guard; without an identity nobody has a role. */
@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const required = this.reflector.getAllAndOverride<readonly string[] | undefined>(REQUIRED_ROLES, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (required === undefined) {
      return true;
    }
    const { user } = context.switchToHttp().getRequest<Partial<AuthenticatedRequest>>();
    if (user?.roles.some((role) => required.includes(role)) !== true) {
      throw new InsufficientRoleError(`one of ${required.join(', ')} is required`);
    }
    return true;
  }
}
