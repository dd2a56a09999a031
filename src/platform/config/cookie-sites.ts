import type { Config } from './config.js';

/**
 * Lists the cookie origins that browsers take for another site than the issuer's. A site is taken for the scheme and the
 * last two labels of a host, so two customers below `co.uk` count as one: a hint for an operator, and no decision.
 */
export function listOriginsOfOtherSites({
  accessTokens,
  cookies,
}: Pick<Config, 'accessTokens' | 'cookies'>): readonly string[] {
  return cookies.origins.filter((origin) => siteOf(origin) !== siteOf(accessTokens.issuer));
}

function siteOf(url: string): string {
  const { protocol, hostname } = new URL(url);
  const isAddress = /^[\d.]+$|^\[/.test(hostname);
  return `${protocol}//${isAddress ? hostname : hostname.split('.').slice(-2).join('.')}`;
}
