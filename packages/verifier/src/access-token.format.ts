/** The claims of a verified token. */
export interface AccessToken {
  /** The user's id, a UUID (`sub`). */
  readonly userId: string;
  /** The session's id, a UUID (`sid`). All access tokens between a sign-in and its end share it. */
  readonly sessionId: string;
  /** The token's own id, a UUID (`jti`). */
  readonly tokenId: string;
  /** Empty when the token names none. */
  readonly roles: readonly string[];
  /** The roles again, space-separated; empty without roles. */
  readonly scope: string;
  readonly clientId: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** How much the user has proved (`acr`): `aal1`, one factor, also when the token does not say; `aal2`, two; `phr`, a passkey. */
  readonly acr: string;
  /** How the user proved who they are (`amr`, RFC 8176); empty when the token does not say. */
  readonly amr: readonly string[];
  /**
   * When the user last proved who they are (`auth_time`), which a refresh does not move. 1970 when the token does not say:
   * too long ago for any demand.
   */
  readonly authenticatedAt: Date;
}

export const ALGORITHMS = ['ES256', 'RS256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** RFC 9068 section 2.1: a token of another purpose never passes as an access token. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';

/** No access token of the service lives longer. Revocations are kept for longer than this, and then forgotten. */
export const LONGEST_LIFETIME_SECONDS = 3_600;

/** What every sign-in proves, and all that a token without `acr` proves. */
const WEAKEST_ACR = 'aal1';

/** How far this machine's clock may be behind `iat`, which is the database's time. `exp` gets no such tolerance. */
const LONGEST_CLOCK_LAG_SECONDS = 60;

/** A token with the most and the longest roles allowed stays well below this. */
const LONGEST_TOKEN_CHARACTERS = 8_192;

const CANONICAL_UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Reads the header of a compact JWS as strictly as the service writes it: `alg`, `typ` and `kid`, and nothing else. So
 * no `crit`, `b64` or `zip` has to be understood, and `jku`, `jwk` and `x5u` cannot matter (RFC 8725 section 3.10). Of
 * each segment only the canonical base64url is accepted, so that a token has one spelling.
 *
 * @returns undefined for anything else; nothing in it has been verified yet
 */
export function readHeader(token: unknown): { readonly algorithm: Algorithm; readonly kid: string } | undefined {
  if (typeof token !== 'string' || token.length > LONGEST_TOKEN_CHARACTERS) {
    return undefined;
  }
  const segments = token.split('.', 4);
  const [headerSegment] = segments;
  if (segments.length !== 3 || headerSegment === undefined || !segments.every(isCanonicalBase64url)) {
    return undefined;
  }
  const header = parseObject(Buffer.from(headerSegment, 'base64url').toString());
  if (header === undefined || Object.keys(header).length !== 3) {
    return undefined;
  }
  const { alg, typ, kid } = header;
  return isAlgorithm(alg) && typ === ACCESS_TOKEN_TYPE && typeof kid === 'string' ? { algorithm: alg, kid } : undefined;
}

/**
 * Reads the claims of a token whose signature, issuer, audience and expiry have been verified before.
 * Absent `roles` and `scope` mean none. Absent `acr`, `amr` and `auth_time`, as in the tokens of an earlier version of the
 * service, read as the weakest that there is.
 *
 * @returns undefined when another claim is missing, when one is of the wrong type, when `iat` is in the future, or when
 *   the lifetime is too long
 */
export function readClaims(claims: Readonly<Record<string, unknown>>, now: Date): AccessToken | undefined {
  const { sub, sid, jti, iat, exp, aud, roles = [], scope = '', client_id: clientId } = claims;
  const { acr = WEAKEST_ACR, amr = [], auth_time: authTime } = claims;
  if (!isUuid(sub) || !isUuid(sid) || !isUuid(jti) || !isWholeSeconds(iat) || !isWholeSeconds(exp)) {
    return undefined;
  }
  if (exp <= iat || exp - iat > LONGEST_LIFETIME_SECONDS || iat > now.getTime() / 1000 + LONGEST_CLOCK_LAG_SECONDS) {
    return undefined;
  }
  if (typeof aud !== 'string' || typeof scope !== 'string' || typeof clientId !== 'string' || !isTexts(roles)) {
    return undefined;
  }
  if (typeof acr !== 'string' || !isTexts(amr) || (authTime !== undefined && !isWholeSeconds(authTime))) {
    return undefined;
  }
  return {
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    roles,
    scope,
    clientId,
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
    acr,
    amr,
    authenticatedAt: new Date((authTime ?? 0) * 1000),
  };
}

export function isAlgorithm(value: unknown): value is Algorithm {
  return ALGORITHMS.some((algorithm) => algorithm === value);
}

function isCanonicalBase64url(segment: string): boolean {
  return segment.length > 0 && Buffer.from(segment, 'base64url').toString('base64url') === segment;
}

/** Returns the claims of a token whose header `readHeader` has accepted; undefined when they are no JSON object. */
export function parseClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  return parseObject(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isUuid(value: unknown): value is string {
  return typeof value === 'string' && CANONICAL_UUID.test(value);
}

function isWholeSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((element) => typeof element === 'string');
}
