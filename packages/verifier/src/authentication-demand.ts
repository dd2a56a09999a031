import type { AccessToken } from './access-token.format.js';
import { InsufficientUserAuthenticationError } from './errors.js';

/** The classes of the service, the weakest first; each is as good as all before it. */
const ACR_CLASSES = ['aal1', 'aal2', 'phr'] as const;

/** `aal1`, one factor; `aal2`, two; `phr`, a passkey that has verified the user. */
export type Acr = (typeof ACR_CLASSES)[number];

/** What a resource asks of the way in which its user signed in. */
export interface AuthenticationDemand {
  /** The weakest class that is enough. */
  readonly requireAcr?: Acr;
  /** How many seconds ago the user may have signed in or stepped up. */
  readonly maxAgeSeconds?: number;
}

/**
 * Requires that the user has proved enough, and lately. A token that does not say when meets no demand, because it was made
 * before the service recorded it. Nor does a class that this version of the package does not know.
 *
 * @param now what the age is measured with, by default this machine's time
 * @throws InsufficientUserAuthenticationError
 * @throws TypeError for a demand that no token could meet
 */
export function requireAuthentication(
  { acr, authenticatedAt }: Pick<AccessToken, 'acr' | 'authenticatedAt'>,
  demand: AuthenticationDemand,
  now = new Date(),
): void {
  requireReadable(demand);
  const { requireAcr, maxAgeSeconds } = demand;
  if (requireAcr === undefined && maxAgeSeconds === undefined) {
    return;
  }
  const isRecorded = authenticatedAt.getTime() > 0;
  const isStrong = requireAcr === undefined || rankOf(acr) >= rankOf(requireAcr);
  const isRecent = maxAgeSeconds === undefined || now.getTime() - authenticatedAt.getTime() <= maxAgeSeconds * 1_000;
  if (!isRecorded || !isStrong || !isRecent) {
    throw new InsufficientUserAuthenticationError(requireAcr, maxAgeSeconds);
  }
}

/** @throws TypeError that names the member; JavaScript has no compiler to do it */
export function requireReadable({ requireAcr, maxAgeSeconds }: AuthenticationDemand): void {
  if (requireAcr !== undefined && rankOf(requireAcr) < 0) {
    throw new TypeError(`@ratchet/verifier: requireAcr must be one of ${ACR_CLASSES.join(', ')}`);
  }
  if (maxAgeSeconds !== undefined && !(Number.isSafeInteger(maxAgeSeconds) && maxAgeSeconds > 0)) {
    throw new TypeError('@ratchet/verifier: maxAgeSeconds must be a positive whole number');
  }
}

function rankOf(acr: string): number {
  return (ACR_CLASSES as readonly string[]).indexOf(acr);
}
