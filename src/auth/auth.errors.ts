import { DomainError, type ProblemCode } from '../platform/common/domain.errors.js';
import { type SecondFactor, SECOND_FACTORS } from '../users/users.types.js';
import type { Acr } from './acr.types.js';

/** No bearer credentials came with the request. */
export class AccessTokenMissingError extends DomainError {
  readonly code = 'access_token_missing';
}

/** The token was not issued by this service, or a verifier may not accept it. */
export class AccessTokenInvalidError extends DomainError {
  readonly code = 'access_token_invalid';
}

export class AccessTokenExpiredError extends DomainError {
  readonly code = 'access_token_expired';
}

/** The token's session has ended. */
export class AccessTokenRevokedError extends DomainError {
  readonly code = 'access_token_revoked';
}

/** What a route or a gateway asks of the user's authentication. */
export interface AuthenticationDemand {
  readonly acr?: Acr | undefined;
  readonly maxAgeSeconds?: number | undefined;
}

/** The token is good, and its user has proved too little, or too long ago (RFC 9470). */
export class InsufficientUserAuthenticationError extends DomainError {
  readonly code = 'insufficient_user_authentication';
  readonly acrValues: Acr | undefined;
  readonly maxAgeSeconds: number | undefined;

  /** @param demand all of it, whichever part is not met; empty when it cannot be read */
  constructor(demand: AuthenticationDemand) {
    super(`acr ${demand.acr ?? 'any'} of the last ${demand.maxAgeSeconds ?? 'unlimited'} s is required`);
    this.acrValues = demand.acr;
    this.maxAgeSeconds = demand.maxAgeSeconds;
  }
}

/** What was proved is right and not enough: the user has a second factor. Nothing was opened. */
export class SecondFactorRequiredError extends DomainError {
  readonly code = 'second_factor_required';
  override readonly members: Readonly<Record<string, unknown>>;

  /**
   * @param factors the kinds that the user has; a recovery code stands in for each
   * @param ticket a token of the form `lg1`, for the second step of a sign-in
   */
  constructor(
    factors: readonly SecondFactor[],
    ticket?: { readonly token: string; readonly expiresInSeconds: number },
  ) {
    super();
    this.members = {
      ...(ticket !== undefined && { ticket: ticket.token, expires_in: ticket.expiresInSeconds }),
      factors: [...SECOND_FACTORS.filter((kind) => factors.includes(kind)), 'recovery_code'],
    };
  }
}

export class InsufficientRoleError extends DomainError {
  readonly code = 'insufficient_role';
}

/** Only a cookie could authenticate the request, and a page of another origin may have caused it. Nothing was done. */
export class CrossSiteRequestError extends DomainError {
  readonly code = 'cross_site_request';
}

/** What every route that requires an access token can answer; its `@ApiProblems` lists them. */
export const BEARER_PROBLEMS: readonly ProblemCode[] = [
  'access_token_missing',
  'access_token_invalid',
  'access_token_expired',
  'access_token_revoked',
];
