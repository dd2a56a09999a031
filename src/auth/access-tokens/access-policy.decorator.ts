import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const ACCESS_POLICY = 'ratchet:access-policy';

/** How the access-token guard treats a route that does not require the token of a live session. */
export interface AccessPolicy {
  /** A request without a token passes without an identity; one with an invalid token is refused. */
  readonly isTokenOptional: boolean;
  readonly maySessionHaveEnded: boolean;
}

/** Marks a route that only ends sessions, so the token's own session may already have ended. */
export const AllowEndedSession = ({ isTokenOptional } = { isTokenOptional: false }): CustomDecorator =>
  SetMetadata(ACCESS_POLICY, { isTokenOptional, maySessionHaveEnded: true } satisfies AccessPolicy);

/** Marks a route where a token is one way of several to show who asks; if there is one, its session lives. */
export const OptionalAccessToken = (): CustomDecorator =>
  SetMetadata(ACCESS_POLICY, { isTokenOptional: true, maySessionHaveEnded: false } satisfies AccessPolicy);
