import type { LockedUser } from '../users/users.types.js';
import { meetsAcr } from './acr.types.js';
import { type AuthenticationDemand, InsufficientUserAuthenticationError } from './auth.errors.js';
import type { Identity } from './auth.types.js';

/** How recent a sign-in has to be for what must not be done from a session that was left open, or by a stolen token. */
export const RECENT_SECONDS = 300;

/** A token that does not tell when its user signed in meets nothing, because an earlier version made it. */
export function meetsAuthentication(
  { acr, authenticatedAtSeconds }: Pick<Identity, 'acr' | 'authenticatedAtSeconds'>,
  demand: AuthenticationDemand,
  nowSeconds: number,
): boolean {
  return (
    authenticatedAtSeconds > 0 &&
    (demand.acr === undefined || meetsAcr(acr, demand.acr)) &&
    (demand.maxAgeSeconds === undefined || nowSeconds - authenticatedAtSeconds <= demand.maxAgeSeconds)
  );
}

/**
 * @param nowSeconds of the database, see `DatabaseClock`
 * @throws InsufficientUserAuthenticationError
 */
export function requireAuthentication(
  identity: Pick<Identity, 'acr' | 'authenticatedAtSeconds'>,
  demand: AuthenticationDemand,
  nowSeconds: number,
): void {
  if (!meetsAuthentication(identity, demand, nowSeconds)) {
    throw new InsufficientUserAuthenticationError(demand);
  }
}

/** What a change of a user's credentials asks for: a recent sign-in, and two factors of a user who has two. */
export function demandOfChange({ secondFactors }: Pick<LockedUser, 'secondFactors'>): AuthenticationDemand {
  return secondFactors.length > 0 ? { acr: 'aal2', maxAgeSeconds: RECENT_SECONDS } : { maxAgeSeconds: RECENT_SECONDS };
}
