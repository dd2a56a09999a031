import { AUTHENTICATION_METHODS, type AuthenticationMethod } from '../tokens/tokens.types.js';

/** How much a sign-in has proved, the weakest class first; each is as good as all before it. */
export const ACR_CLASSES = ['aal1', 'aal2', 'phr'] as const;

/**
 * An authentication context class: `aal1`, one factor; `aal2`, two; `phr`, a passkey whose authenticator has verified the
 * user, which phishing cannot obtain (OpenID Connect EAP ACR Values 1.0).
 */
export type Acr = (typeof ACR_CLASSES)[number];

/** One factor: what every sign-in proves, and all that a token without `acr` proves. */
export const WEAKEST_ACR: Acr = 'aal1';

/** Returns the class that methods prove together. Unknown ones, of a later version, prove nothing more. */
export function acrOf(amr: readonly string[]): Acr {
  if (!amr.includes('mfa')) {
    return WEAKEST_ACR;
  }
  return amr.includes('pop') && amr.includes('user') ? 'phr' : 'aal2';
}

/** Tells whether a class is at least the demanded one. A class that this version does not know meets no demand. */
export function meetsAcr(acr: string, demanded: Acr): boolean {
  return rankOf(acr) >= rankOf(demanded);
}

/** Returns everything that was proved, once each, in the order of `AUTHENTICATION_METHODS`. */
export function joinMethods(...proved: readonly (readonly string[])[]): readonly AuthenticationMethod[] {
  return AUTHENTICATION_METHODS.filter((method) => proved.some((methods) => methods.includes(method)));
}

function rankOf(acr: string): number {
  return (ACR_CLASSES as readonly string[]).indexOf(acr);
}
