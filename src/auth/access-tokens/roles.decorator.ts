import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const REQUIRED_ROLES = 'ratchet:required-roles';

/** Lets only users pass whose token carries at least one of these roles. */
export const Roles = (...roles: readonly [string, ...string[]]): CustomDecorator => SetMetadata(REQUIRED_ROLES, roles);
