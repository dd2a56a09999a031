import type { IncomingMessage } from 'node:http';

/** Where gateways ask. What follows it is the path of the request they ask about, and none of our business. */
export const FORWARD_AUTH_PATH = '/auth/verify';

/**
 * Takes a gateway's question out of the router's hands before it is parsed: whatever its method, the rest of its path,
 * its query and its announced body, it becomes one and the same `GET`. So no path can be malformed, too long or end
 * somewhere else, no method is unknown or a preflight, and no body is read; Node skips it when the answer is out.
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
