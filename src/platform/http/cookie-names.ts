import type { Config } from '../config/config.js';

export interface CookieNames {
  readonly refresh: string;
  readonly access: string;
  /** Whether the cookies need TLS. */
  readonly areSecure: boolean;
}

/**
 * Returns the names of the session cookies. With an https issuer they begin with `__Host-Http-`: a sibling host can neither
 * set nor shadow such a cookie, and no script can. Safari refuses `Secure` over plain HTTP on this machine, the one place
 * for which another issuer is accepted.
 */
export function cookieNamesOf({ issuer }: Pick<Config['accessTokens'], 'issuer'>): CookieNames {
  const areSecure = issuer.startsWith('https:');
  const prefix = areSecure ? '__Host-Http-' : '';
  return { refresh: `${prefix}ratchet-refresh`, access: `${prefix}ratchet-access`, areSecure };
}
