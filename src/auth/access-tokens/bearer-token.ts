import type { IncomingMessage } from 'node:http';

/** RFC 6750 section 2.1: the scheme, compared without regard to case, one or more spaces, and a b64token. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

const HEADER_NAME = 'authorization';

export type BearerToken =
  { readonly kind: 'present'; readonly token: string } | { readonly kind: 'absent' } | { readonly kind: 'malformed' };

/**
 * Reads the bearer token from the `Authorization` header and from nowhere else (RFC 6750 section 2.3). Two such headers
 * are refused, because a proxy in between may have read the other one.
 */
export function readBearerToken(request: IncomingMessage): BearerToken {
  if (countHeaders(request.rawHeaders) > 1) {
    return { kind: 'malformed' };
  }
  const header = request.headers.authorization;
  if (header === undefined || !/^Bearer\b/i.test(header)) {
    return { kind: 'absent' };
  }
  const token = BEARER.exec(header)?.[1];
  return token === undefined ? { kind: 'malformed' } : { kind: 'present', token };
}

/** Node keeps the first of several `Authorization` headers and drops the rest; only the raw list still shows them. */
function countHeaders(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === HEADER_NAME.length && name.toLowerCase() === HEADER_NAME) {
      count += 1;
    }
  }
  return count;
}
