import { AccessTokenInvalidError, AccessTokenMissingError } from './errors.js';

/** A request of Node (also inside Express and Fastify). Its raw headers still show repeated headers. */
export interface NodeRequest {
  /** Names and values, alternating. */
  readonly rawHeaders: readonly string[];
  readonly method?: string | undefined;
}

/** `Headers` of the Fetch standard, which joins repeated headers with a comma. */
export interface FetchHeaders {
  get(name: string): string | null;
}

/** A `Request` of the Fetch standard. */
export interface FetchRequest {
  readonly headers: FetchHeaders;
  readonly method: string;
}

/** RFC 6750 section 2.1: the scheme, compared without regard to case, one or more spaces, and a b64token. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * Reads the bearer token from the `Authorization` header and from nowhere else (RFC 6750 section 2.3). Two such headers
 * are refused, because a proxy in between may have read the other one.
 *
 * @throws AccessTokenMissingError when the header is missing or of another scheme
 * @throws AccessTokenInvalidError when there are two headers, or one without bearer syntax
 */
export function readBearerToken(request: NodeRequest | FetchHeaders | FetchRequest): string {
  const [header, ...others] = headerLines(request, 'authorization');
  if (others.length > 0) {
    throw new AccessTokenInvalidError('several Authorization headers');
  }
  if (header === undefined || !/^Bearer\b/i.test(header)) {
    throw new AccessTokenMissingError('no bearer credentials');
  }
  const token = BEARER.exec(header)?.[1];
  if (token === undefined) {
    throw new AccessTokenInvalidError('header syntax');
  }
  return token;
}

/** Returns the values of all headers of a name; of a Fetch request they are one text. */
export function headerLines(
  request: NodeRequest | FetchHeaders | FetchRequest,
  lowerCaseName: string,
): readonly string[] {
  if ('rawHeaders' in request) {
    return request.rawHeaders.filter(
      (_value, index, raw) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === lowerCaseName,
    );
  }
  const value = ('headers' in request ? request.headers : request).get(lowerCaseName);
  return value === null ? [] : [value];
}
