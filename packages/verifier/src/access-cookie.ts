import {
  type FetchHeaders,
  type FetchRequest,
  headerLines,
  type NodeRequest,
  readBearerToken,
} from './bearer-token.js';
import { AccessTokenInvalidError, CrossSiteRequestError } from './errors.js';

export interface CookieSettings {
  readonly name: string;
  readonly origins: readonly string[];
}

type ReadableRequest = NodeRequest | FetchHeaders | FetchRequest;

/**
 * Reads the access token from the `Authorization` header and, if there is none of any scheme, from the access cookie. A
 * cookie comes with requests that other sites cause, so it counts by the rule of the service only.
 *
 * @param cookie undefined where none is read
 * @throws CrossSiteRequestError when a page of another origin may have caused a request that has only the cookie
 * @throws AccessTokenInvalidError for two cookies, and the errors of `readBearerToken`
 */
export function readAccessToken(request: ReadableRequest, cookie: CookieSettings | undefined): string {
  if (cookie === undefined || headerLines(request, 'authorization').length > 0) {
    return readBearerToken(request);
  }
  const [token, ...others] = headerLines(request, 'cookie')
    .flatMap((line) => line.split(';'))
    .filter((pair) => pair.includes('=') && pair.slice(0, pair.indexOf('=')).trim() === cookie.name)
    .map((pair) => pair.slice(pair.indexOf('=') + 1).trim());
  if (token === undefined) {
    return readBearerToken(request);
  }
  if (others.length > 0) {
    throw new AccessTokenInvalidError('several access cookies');
  }
  if (!mayCookieAuthenticate(request, cookie.origins)) {
    throw new CrossSiteRequestError('the access cookie came from elsewhere, or the headers that say so are missing');
  }
  return token;
}

/** An `Origin` must be one of ours. Without it, a request that reads may come from us, the user, or as a navigation. */
function mayCookieAuthenticate(request: ReadableRequest, origins: readonly string[]): boolean {
  const valueOf = (name: string): string | undefined => {
    const lines = headerLines(request, name);
    return lines.length === 0 ? undefined : lines.join(', ');
  };
  const origin = valueOf('origin');
  if (origin !== undefined) {
    return origins.includes(origin);
  }
  // The headers alone do not say what the request does.
  if (!('method' in request) || (request.method !== 'GET' && request.method !== 'HEAD')) {
    return false;
  }
  const site = valueOf('sec-fetch-site');
  const isNavigation = valueOf('sec-fetch-mode') === 'navigate' && valueOf('sec-fetch-dest') === 'document';
  return site === 'same-origin' || site === 'none' || isNavigation;
}
