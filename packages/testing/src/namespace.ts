import type {
  ClockAnswer,
  ClockBody,
  FaultAnswer,
  FaultBody,
  KeyAnswer,
  NamespaceAnswer,
  RequestRecord,
  RequestsAnswer,
  SessionBody,
  TokenAnswer,
  TokenBody,
  TokenPairAnswer,
  TotpCodeAnswer,
  UserAnswer,
  UserBody,
} from './contract.js';
import { type Duration, readSeconds } from './duration.js';
import { RatchetTestError } from './errors.js';
import { callJson } from './http.js';
import { NamespaceOutbox } from './outbox.js';
import {
  requireTokenOptions,
  type Token,
  type TokenClaims,
  type TokenOptions,
  type UserReference,
} from './token-options.js';

export interface UserOptions {
  /** Default: one that no other user has. */
  readonly email?: string;
  /** Default: one that the password policy accepts. */
  readonly password?: string;
  readonly roles?: readonly string[];
  readonly status?: 'active' | 'disabled';
  /** Gives the user an authenticator app and ten recovery codes. Sign-ins ask for a second factor then. */
  readonly totp?: boolean;
}

export interface SessionOptions {
  /** Whose session it is. Default: a new user's. */
  readonly user?: UserReference;
  /** The roles of the new user; a user that is there has some already. */
  readonly roles?: readonly string[];
  /**
   * `ended`: by a logout. `reused`: ended because a used refresh token was presented. `expired`: past its absolute end.
   * `idle_expired`: not refreshed for too long.
   */
  readonly state?: 'live' | 'ended' | 'reused' | 'expired' | 'idle_expired';
  /** The generation of its refresh token: 1 after the login, 2 after the first refresh. Default: 1, and 2 for `reused`. */
  readonly generation?: number;
}

/** The tokens of a session, as a login or a refresh gives them. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Seconds for which the access token is good. */
  readonly expiresInSeconds: number;
  /** Seconds for which the refresh token is good, if it is not used. */
  readonly refreshExpiresInSeconds: number;
  /** The session's id, as `claims.sid` of its access tokens. */
  readonly sessionId: string;
}

/** The authenticator app of a user. */
export interface UserTotp {
  /** In base32. */
  readonly secret: string;
  readonly recoveryCodes: readonly string[];
  /** Returns what the app shows now, see `Namespace.totp`. */
  code(): Promise<string>;
}

/** A user who can sign in. */
export interface TestUser {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly roles: readonly string[];
  readonly status: 'active' | 'disabled';
  /** There if the user was made with `totp: true`. */
  readonly totp?: UserTotp;
  /**
   * Signs the user in by `POST /auth/login`, as an application does: a new session each time. With an authenticator app, the
   * second step follows.
   *
   * @throws RatchetTestError with the problem's code: `account_disabled`
   */
  signIn(): Promise<TokenPair>;
}

export interface FaultOptions {
  /** Default: every method. */
  readonly method?: string;
  /** Exact, or a prefix that ends in `*`. Default: every path. */
  readonly path?: string;
  /** The status to answer with, without asking the service. */
  readonly status?: number;
  /** The problem's code to answer with. Default: one that the service sends with this status. */
  readonly code?: string;
  /** The answer's `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** The time for which the request is held back. */
  readonly delayMs?: number;
  /** Cuts the connection: `before` the service has the request, or `after` it has done what was asked. */
  readonly cut?: 'before' | 'after';
  /** For how many requests. Default: for all until it is removed. */
  readonly times?: number;
  /** How many requests pass first. */
  readonly skip?: number;
}

/** A fault that has been set. */
export interface Fault {
  readonly id: string;
  /** Returns how many requests it has struck. */
  hits(): Promise<number>;
  /** Ends it. Does nothing if a reset has ended it. */
  remove(): Promise<void>;
}

/** A request that the namespace has received. */
export interface ReceivedRequest {
  /** When it arrived, by the clock of the namespace. */
  readonly at: Date;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** What the service has answered. Absent when a fault cut the request off before. */
  readonly status?: number;
  /** The code of the problem that was answered. */
  readonly code?: string;
  readonly requestId?: string;
  readonly userId?: string;
  readonly sessionId?: string;
  /** The id of the fault that struck it. */
  readonly faultId?: string;
}

/** The time of a namespace: of its database and its process alike. No other namespace has it. */
export interface NamespaceClock {
  /**
   * Moves the clock, and runs the jobs that are due by then before it resolves. The clock goes on from there, unless it is
   * frozen.
   *
   * @param by `'31 days'`, `'90 s'`, or a number of seconds
   * @returns the new time
   * @throws TypeError for another text
   */
  advance(by: Duration): Promise<Date>;
  /**
   * Stops the clock.
   *
   * @param at the instant to stop at. Default: the present one.
   */
  freeze(at?: Date | string): Promise<Date>;
  /** Sets the real time again, and lets it go on. */
  reset(): Promise<Date>;
  now(): Promise<Date>;
}

export interface NamespaceKeys {
  /**
   * Makes a new signing key.
   *
   * @param force it signs at once. Otherwise it is published first (`next`), and signs a day later (`ns.clock.advance`).
   */
  rotate(options?: { readonly force?: boolean }): Promise<{ readonly kid: string; readonly status: 'next' | 'active' }>;
}

/** A whole Ratchet for tests. Made by `connectRatchet().namespace()`. */
export class Namespace {
  readonly name: string;
  /** Where the service is: `POST ${url}/auth/login`. */
  readonly url: string;
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
  readonly clock: NamespaceClock = {
    advance: async (by) => this.setClock({ advance_seconds: readSeconds(by) }),
    freeze: async (at) => this.setClock({ frozen: true, ...(at !== undefined && { at: readInstant(at) }) }),
    reset: () => this.setClock({}),
    now: async () => readClock(await this.call('GET', 'clock')),
  };
  readonly keys: NamespaceKeys = {
    rotate: async ({ force = false } = {}) => (await this.call('POST', 'keys/rotate', { force })) as KeyAnswer,
  };

  /** What the service has sent by mail. */
  readonly outbox: NamespaceOutbox;

  /** Use `connectRatchet().namespace()`. */
  constructor(
    { name, url, issuer, audience, jwks_uri: jwksUrl }: NamespaceAnswer,
    /** The base of its test routes. */
    readonly testUrl: string,
  ) {
    this.name = name;
    this.url = url;
    this.issuer = issuer;
    this.audience = audience;
    this.jwksUrl = jwksUrl;
    this.outbox = new NamespaceOutbox(`${testUrl}/outbox`);
  }

  /**
   * Makes it as new, except for its keys: without users, sessions, mails, faults and requests, and with the real time. Access tokens
   * from before are refused. Requests under way are waited for, and cut after a second.
   */
  async reset(): Promise<void> {
    await this.call('POST', 'reset');
  }

  /** Removes it with its database. A reset is faster. */
  async drop(): Promise<void> {
    await callJson('DELETE', this.testUrl);
  }

  /** Makes a user. */
  async user(options: UserOptions = {}): Promise<TestUser> {
    const [user] = await this.users([options]);
    if (user === undefined) {
      throw new Error('the runner has answered with no user');
    }
    return user;
  }

  /**
   * Makes 1,000 users at most in one request.
   *
   * @param users a number, or the options of each
   * @returns them in the same order
   */
  async users(users: number | readonly UserOptions[]): Promise<readonly TestUser[]> {
    const body: readonly UserBody[] = typeof users === 'number' ? Array.from({ length: users }, () => ({})) : users;
    const answer = (await this.call('POST', 'users', body)) as readonly UserAnswer[];
    return answer.map(({ totp, ...user }) => ({
      ...user,
      ...(totp !== undefined && {
        totp: { secret: totp.secret, recoveryCodes: totp.recovery_codes, code: () => this.totp(user) },
      }),
      signIn: () => this.signIn(user),
    }));
  }

  /**
   * Returns the code that a user's authenticator app shows now, also of an app that the user has added on a page. The service
   * accepts it even if it has been used.
   *
   * @throws RatchetTestError for a user without an app
   */
  async totp(user: UserReference): Promise<string> {
    return ((await this.call('POST', 'totp', idOf(user))) as TotpCodeAnswer).code;
  }

  /**
   * Signs a user in by `POST /auth/login`, as an application does. If the service asks for a second factor and the user's id is
   * given, the second step follows, with the code of the user's authenticator app.
   *
   * @throws RatchetTestError with the problem's code: `invalid_credentials`, `second_factor_required`
   */
  async signIn({
    email,
    password,
    id,
  }: {
    readonly email: string;
    readonly password: string;
    readonly id?: string;
  }): Promise<TokenPair> {
    try {
      return readPair(await callJson('POST', `${this.url}/auth/login`, { email, password }));
    } catch (error) {
      if (!(error instanceof RatchetTestError && error.ticket !== undefined) || id === undefined) {
        throw error;
      }
      const proof = { ticket: error.ticket, totp: await this.totp(id) };
      return readPair(await callJson('POST', `${this.url}/auth/login/second-factor`, proof));
    }
  }

  /**
   * Makes an access token, signed by the namespace's key unless the options say otherwise. Without options it differs from a
   * login's in nothing but values.
   *
   * @throws TypeError for an unknown option
   * @throws RatchetTestError for an unknown user
   */
  async token(options: TokenOptions = {}): Promise<Token> {
    requireTokenOptions(options);
    const { user, ...rest } = options;
    const body: TokenBody = { ...rest, ...idOf(user) };
    const { access_token: accessToken, claims } = (await this.call('POST', 'tokens', body)) as TokenAnswer;
    return { accessToken, claims: claims as TokenClaims };
  }

  /**
   * Makes a session in the state that a test needs, and returns its newest tokens.
   *
   * @throws RatchetTestError for an unknown user, or a state that is impossible
   */
  async session({ user, ...rest }: SessionOptions = {}): Promise<TokenPair> {
    const body: SessionBody = { ...rest, ...idOf(user) };
    return readPair(await this.call('POST', 'sessions', body));
  }

  /** Sets a fault: what the network or the service does to requests from now on. The oldest that matches strikes. */
  async fault({ retryAfterSeconds, delayMs, ...rest }: FaultOptions): Promise<Fault> {
    const body: FaultBody = {
      ...rest,
      ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
      ...(delayMs !== undefined && { delay_ms: delayMs }),
    };
    const { id } = (await this.call('POST', 'faults', body)) as FaultAnswer;
    return {
      id,
      hits: async () => ((await this.call('GET', `faults/${id}`)) as FaultAnswer).hits,
      remove: async () => {
        await this.call('DELETE', `faults/${id}`).catch((error: unknown) => {
          if (!(error instanceof RatchetTestError && error.code === 'fault_unknown')) {
            throw error;
          }
        });
      },
    };
  }

  /**
   * Returns the last 1,000 requests to the service since the last reset, the oldest first: no header and no body.
   *
   * @param path exact, or a prefix that ends in `*`
   */
  async requests({ path }: { readonly path?: string } = {}): Promise<readonly ReceivedRequest[]> {
    const query = path === undefined ? '' : `?path=${encodeURIComponent(path)}`;
    const { requests } = (await this.call('GET', `requests${query}`)) as RequestsAnswer;
    return requests.map(readRequest);
  }

  private async call(method: string, path: string, body?: unknown): Promise<unknown> {
    return callJson(method, `${this.testUrl}/${path}`, body);
  }

  private async setClock(body: ClockBody): Promise<Date> {
    return readClock(await this.call('PUT', 'clock', body));
  }
}

function idOf(user: UserReference | undefined): { readonly user_id?: string } {
  return user === undefined ? {} : { user_id: typeof user === 'string' ? user : user.id };
}

function readInstant(at: Date | string): string {
  const instant = new Date(at);
  if (Number.isNaN(instant.getTime())) {
    throw new TypeError(`@ratchet/testing: ${JSON.stringify(at)} is no instant. It is a Date or an ISO 8601 text.`);
  }
  return instant.toISOString();
}

function readClock(answer: unknown): Date {
  return new Date((answer as ClockAnswer).now);
}

function readPair(answer: unknown): TokenPair {
  const pair = answer as TokenPairAnswer;
  return {
    accessToken: pair.access_token,
    refreshToken: pair.refresh_token,
    expiresInSeconds: pair.expires_in,
    refreshExpiresInSeconds: pair.refresh_expires_in,
    sessionId: readSessionId(pair.access_token),
  };
}

function readSessionId(accessToken: string): string {
  const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()) as TokenClaims;
  return claims.sid;
}

/** Leaves out what is not there, so that a test compares what it expects. */
function readRequest({ at, method, path, status, ...rest }: RequestRecord): ReceivedRequest {
  return {
    at: new Date(at),
    method,
    path,
    ...(status !== null && { status }),
    ...(rest.code !== undefined && { code: rest.code }),
    ...(rest.request_id !== undefined && { requestId: rest.request_id }),
    ...(rest.user_id !== undefined && { userId: rest.user_id }),
    ...(rest.sid !== undefined && { sessionId: rest.sid }),
    ...(rest.fault !== undefined && { faultId: rest.fault }),
  };
}
