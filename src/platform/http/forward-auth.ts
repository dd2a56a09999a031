import type { IncomingMessage } from 'node:http';

/** Where gateways ask. The path of the request that they ask about may follow, and is ignored. */
export const FORWARD_AUTH_PATH = '/auth/verify';

/**
 * Turns every request of a gateway into the same `GET` before the router parses it, whatever its method, the rest of
 * its path, its query and its announced body. So no path can be malformed, too long or lead to another route, no method
 * is unknown or a preflight, and no body is read; Node skips it after the answer.
 *
 * @returns the URL to route
 */
export function routeForwardAuth(request: Pick<IncomingMessage, 'url' | 'method'>): string {
  const { url = '' } = request;
  if (!isForwardAuth(url)) {
    return url;
  }
  request.method = 'GET';
  return FORWARD_AUTH_PATH;
}

function isForwardAuth(url: string): boolean {
  if (!url.startsWith(FORWARD_AUTH_PATH)) {
    return false;
  }
  const next = url[FORWARD_AUTH_PATH.length];
  return next === undefined || next === '/' || next === '?';
}
