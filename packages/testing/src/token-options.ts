/** A user of a namespace by its id, or any object that has one. */
export type UserReference = string | { readonly id: string };

/** What is different about a token. Without any of it, the token is what a login gives. */
export interface TokenOptions {
  /** Whose token it is. Default: a new user's. */
  readonly user?: UserReference;
  /** The roles of the new user; a user that is there has some already. */
  readonly roles?: readonly string[];
  /** Its life ended a second ago. */
  readonly expired?: boolean;
  /** `ended`: its session has been ended, as by a logout. */
  readonly session?: 'live' | 'ended';
  /** Replaces or adds claims: `{ aud: 'another' }`. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Names of claims to leave out: `['exp']`. */
  readonly omit?: readonly string[];
  /** The header's `typ`, in place of `at+jwt`. */
  readonly typ?: string;
  /** The header's `kid`, in place of the signing key's. */
  readonly kid?: string;
  /**
   * `broken`: changed after it was made. `none`: `alg` is `none`, and there is none. `unknown-key`: good, but by a key that
   * is not published.
   */
  readonly signature?: 'good' | 'broken' | 'none' | 'unknown-key';
}

/** An access token, with what is in it. */
export interface Token {
  /** What goes into the header `Authorization: Bearer …`. */
  readonly accessToken: string;
  /** Its claims; `claims.sub` is the user and `claims.sid` the session. */
  readonly claims: TokenClaims;
}

/** The documented claims are there unless the test left them out or replaced them. */
export interface TokenClaims {
  readonly [name: string]: unknown;
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly sid: string;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly iat: number;
  /** Seconds since 1970. */
  readonly exp: number;
  readonly client_id: string;
  /** When the user proved who they are, in seconds since 1970. */
  readonly auth_time: number;
  /** How much that proved. */
  readonly acr: string;
  /** How they proved it. */
  readonly amr?: readonly string[];
  /** Absent without roles. */
  readonly roles?: readonly string[];
  readonly scope?: string;
}

const MEMBERS = ['user', 'roles', 'expired', 'session', 'claims', 'omit', 'typ', 'kid', 'signature'];
const CHOICES = { session: ['live', 'ended'], signature: ['good', 'broken', 'none', 'unknown-key'] } as const;

/** @throws TypeError that names the member and what it may be; JavaScript has no compiler to do it */
export function requireTokenOptions(options: TokenOptions): void {
  const unknown = Object.keys(options).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`@ratchet/testing: a token has no option ${unknown}. There are ${MEMBERS.join(', ')}.`);
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const choice: unknown = options[name as keyof typeof CHOICES];
    if (choice !== undefined && !choices.some((each) => each === choice)) {
      throw new TypeError(`@ratchet/testing: ${name} is one of ${choices.join(', ')}, not ${JSON.stringify(choice)}.`);
    }
  }
}
