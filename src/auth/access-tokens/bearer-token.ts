import type { IncomingMessage } from 'node:http';
import { countHeaderLines } from '../../platform/common/raw-headers.js';

/** RFC 6750 section 2.1: the scheme, compared without regard to case, one or more spaces, and a b64token. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

export type BearerToken =
  { readonly kind: 'present'; readonly token: string } | { readonly kind: 'absent' } | { readonly kind: 'malformed' };

/**
 * Reads the bearer token from the `Authorization` header and from nowhere else (RFC 6750 section 2.3). Two such headers
 * are refused, because a proxy in between may have read the other one.
 */
export function readBearerToken(request: IncomingMessage): BearerToken {
  if (countHeaderLines(request.rawHeaders, 'authorization') > 1) {
    return { kind: 'malformed' };
  }
  const header = request.headers.authorization;
  if (header === undefined || !/^Bearer\b/i.test(header)) {
    return { kind: 'absent' };
  }
  const token = BEARER.exec(header)?.[1];
  return token === undefined ? { kind: 'malformed' } : { kind: 'present', token };
}
