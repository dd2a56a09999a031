import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const ACCESS_POLICY = 'ratchet:access-policy';

/** How the access-token guard treats a route that differs from the rule. */
export interface AccessPolicy {
  /** A request without bearer credentials passes without an identity; one with bad ones is refused all the same. */
  readonly isTokenOptional: boolean;
}

/** For routes that only ever end sessions: the token's own session may have ended already. */
export const AllowEndedSession = (policy: AccessPolicy = { isTokenOptional: false }): CustomDecorator =>
  SetMetadata(ACCESS_POLICY, policy);
