import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { InsufficientRoleError } from '../auth.errors.js';
import type { AuthenticatedRequest } from '../auth.types.js';
import { REQUIRED_ROLES } from './roles.decorator.js';
import { RouteMarks } from './route-marks.js';

/** Requires the roles of `@Roles()`. Runs after the access-token guard; a request without an identity has no role. */
@Injectable()
export class RolesGuard implements CanActivate {
  private readonly marks: RouteMarks<readonly string[] | undefined>;

  constructor(reflector: Reflector) {
    this.marks = new RouteMarks((targets) => reflector.getAllAndOverride(REQUIRED_ROLES, targets));
  }

  canActivate(context: ExecutionContext): boolean {
    const required = this.marks.of(context);
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
