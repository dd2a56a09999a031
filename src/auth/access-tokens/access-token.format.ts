import { isCanonicalUuid } from '../../platform/common/uuid.js';
import { LONGEST_ACCESS_TOKEN_SECONDS } from '../../platform/config/access-token-lifetime.js';
import type { JwtAlgorithm } from '../../platform/config/config.js';
import { WEAKEST_ACR } from '../acr.types.js';
import type { Identity } from '../auth.types.js';

/** RFC 9068 section 2.1: keeps access tokens and JWTs of another purpose from being taken for each other. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';

/** How far the clock of the database may step back while tokens are out, as at a failover. */
const CLOCK_DIFFERENCE_SECONDS = 60;

/** A token with the most and the longest roles stays well below this. */
const LONGEST_TOKEN_CHARACTERS = 8_192;

export interface AccessTokenHeader {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
}

/**
 * Reads a compact JWS header as strictly as this service writes it: `alg`, `typ` and `kid`, and nothing else. So no
 * `crit`, `b64`, `zip` or `enc` has to be understood, and `jku`, `jwk`, `x5u` and `x5c` cannot matter (RFC 8725
 * section 3.10). Of each segment only the canonical base64url is accepted, and of the JSON in it only what serialising
 * it again gives: a token has one spelling, and no member that another reader would find a second time with another
 * value (RFC 8725 section 2.6).
 *
 * @returns undefined for anything else; nothing in it has been verified yet
 */
export function readAccessTokenHeader(token: string): AccessTokenHeader | undefined {
  if (token.length > LONGEST_TOKEN_CHARACTERS) {
    return undefined;
  }
  const segments = token.split('.', 4);
  if (segments.length !== 3 || !segments.every(isCanonicalBase64url)) {
    return undefined;
  }
  const [header, claims] = segments.slice(0, 2).map(parseCanonicalObject);
  if (header === undefined || claims === undefined || Object.keys(header).length !== 3) {
    return undefined;
  }
  const { alg, typ, kid } = header;
  const isOurs = (alg === 'ES256' || alg === 'RS256') && typ === ACCESS_TOKEN_TYPE && typeof kid === 'string';
  return isOurs ? { kid, algorithm: alg } : undefined;
}

/**
 * Judges the claims that the JWT library leaves to its user, of a payload whose signature, issuer, audience and expiry
 * have been verified.
 *
 * An end further away than the longest life is refused whatever `iat` says: a token issued in the future would outlive
 * the window in which its revocation is remembered. A clock slightly behind the issuing database's is tolerated.
 *
 * Absent `roles` mean none. Absent `acr`, `amr` and `auth_time`, as in the tokens of earlier versions, read as the weakest
 * that there is, so that they meet no demand.
 *
 * @returns undefined when another claim is missing, one is of the wrong type, or they promise too long a life
 */
export function readIdentity(claims: object, nowSeconds: number): Identity | undefined {
  const {
    aud,
    sub,
    sid,
    jti,
    iat,
    exp,
    roles = [],
    acr = WEAKEST_ACR,
    amr = [],
    auth_time,
  } = claims as Record<string, unknown>;
  if (
    !isCanonicalUuid(sub) ||
    !isCanonicalUuid(sid) ||
    !isCanonicalUuid(jti) ||
    !isWholeSeconds(iat) ||
    !isWholeSeconds(exp)
  ) {
    return undefined;
  }
  const latestEndSeconds = nowSeconds + LONGEST_ACCESS_TOKEN_SECONDS + CLOCK_DIFFERENCE_SECONDS;
  if (exp <= iat || exp - iat > LONGEST_ACCESS_TOKEN_SECONDS || exp > latestEndSeconds) {
    return undefined;
  }
  // The library accepts a list that contains our audience; this service never writes one.
  if (typeof aud !== 'string' || !isArrayOfStrings(roles)) {
    return undefined;
  }
  if (typeof acr !== 'string' || !isArrayOfStrings(amr) || (auth_time !== undefined && !isWholeSeconds(auth_time))) {
    return undefined;
  }
  return {
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    roles,
    expiresAtSeconds: exp,
    acr,
    amr,
    authenticatedAtSeconds: auth_time ?? 0,
  };
}

function isCanonicalBase64url(segment: string): boolean {
  return segment.length > 0 && Buffer.from(segment, 'base64url').toString('base64url') === segment;
}

function parseCanonicalObject(segment: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  try {
    const value: unknown = JSON.parse(bytes.toString());
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject && Buffer.from(JSON.stringify(value)).equals(bytes) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isWholeSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function isArrayOfStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((element) => typeof element === 'string');
}
