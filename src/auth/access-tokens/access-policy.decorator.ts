import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const ACCESS_POLICY = 'ratchet:access-policy';

/** How the access-token guard treats a route that accepts the token of an ended session. */
export interface AccessPolicy {
  /** A request without bearer credentials passes without an identity; one with invalid credentials is refused. */
  readonly isTokenOptional: boolean;
}

/** Marks a route that only ends sessions, so the token's own session may already have ended. */
export const AllowEndedSession = (policy: AccessPolicy = { isTokenOptional: false }): CustomDecorator =>
  SetMetadata(ACCESS_POLICY, policy);
