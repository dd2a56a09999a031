import type { IncomingHttpHeaders } from 'node:http';

/** What a browser says about where a request comes from. No script can set or change these headers. */
type BrowserHeaders = Pick<IncomingHttpHeaders, 'origin'> & {
  readonly 'sec-fetch-site'?: string | undefined;
  readonly 'sec-fetch-mode'?: string | undefined;
  readonly 'sec-fetch-dest'?: string | undefined;
};

/**
 * Decides whether a cookie may authenticate a request, which a page of another origin may have caused. An `Origin` must
 * be one of `origins`; browsers send it with every request that can change something, with every WebSocket, and with
 * every request that a script may read the answer of across origins. Without one, only a request that reads passes: one
 * of the service's own origin, one that the user made (`none`), and a plain navigation, which shows its answer to the
 * user alone. A request without either header fails, so a gateway that drops them denies and does not open.
 *
 * @param headers of which a repeated one is joined by commas, and so fails
 * @param changesState whether the request can change something, so that only its `Origin` counts
 */
export function mayCookieAuthenticate(
  headers: BrowserHeaders,
  origins: ReadonlySet<string>,
  changesState: boolean,
): boolean {
  if (headers.origin !== undefined) {
    return origins.has(headers.origin);
  }
  if (changesState) {
    return false;
  }
  const site = headers['sec-fetch-site'];
  const isNavigation = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return site === 'same-origin' || site === 'none' || isNavigation;
}
