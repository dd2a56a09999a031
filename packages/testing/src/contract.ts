/**
 * The JSON of the routes under `/test`, as the runner reads and answers it. Instants are ISO 8601 texts, and every error is
 * `application/problem+json` with `status`, `code` and `detail`.
 */

export const DEFAULT_PORT = 4010;

/** Every request to `/test` has it, and every answer of the runner. */
export const TEST_HEADER = 'x-ratchet-test';

/** One line on standard output when the runner serves. */
export interface ReadyLine {
  readonly event: 'ready';
  /** The namespace `main`. */
  readonly url: string;
  readonly test_url: string;
  readonly pid: number;
  readonly issuer: string;
  readonly audience: string;
}

/** `PUT /test/{ns}`: 201, or 200 when it was there. */
export interface NamespaceBody {
  readonly config?: Readonly<Record<string, string>>;
}

export interface NamespaceAnswer {
  readonly name: string;
  readonly url: string;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks_uri: string;
}

/** `POST /test/{ns}/users` takes a list of these, and answers 201 with a list in the same order. */
export interface UserBody {
  readonly email?: string;
  readonly password?: string;
  readonly roles?: readonly string[];
  readonly status?: 'active' | 'disabled';
  /** Whether the user has an authenticator app, and ten recovery codes with it. */
  readonly totp?: boolean;
}

export interface UserAnswer {
  readonly id: string;
  /** In its canonical form. */
  readonly email: string;
  readonly password: string;
  readonly roles: readonly string[];
  readonly status: 'active' | 'disabled';
  readonly totp?: TotpAnswer;
}

/** What the user of an authenticator app has. */
export interface TotpAnswer {
  /** In base32. */
  readonly secret: string;
  readonly recovery_codes: readonly string[];
}

/** `POST /test/{ns}/totp` with `{user_id}`: 200. */
export interface TotpCodeAnswer {
  readonly code: string;
}

/** `POST /test/{ns}/tokens`: 201. Without `user_id` the token is a new user's, who has `roles`. */
export interface TokenBody {
  readonly user_id?: string;
  readonly roles?: readonly string[];
  readonly expired?: boolean;
  readonly session?: 'live' | 'ended';
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly omit?: readonly string[];
  readonly typ?: string;
  readonly kid?: string;
  readonly signature?: 'good' | 'broken' | 'none' | 'unknown-key';
}

export interface TokenAnswer {
  readonly access_token: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** `POST /test/{ns}/sessions`: 201. Without `user_id` the session is a new user's, who has `roles`. */
export interface SessionBody {
  readonly user_id?: string;
  readonly roles?: readonly string[];
  readonly state?: 'live' | 'ended' | 'reused' | 'expired' | 'idle_expired';
  /** The generation of the refresh token: 1 after the login, 2 after the first refresh. By default 1, and 2 for `reused`. */
  readonly generation?: number;
}

export interface TokenPairAnswer {
  readonly access_token: string;
  readonly token_type: string;
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly refresh_expires_in: number;
}

/** `PUT /test/{ns}/clock`. An empty body is the real clock again; `frozen` without `at` is the present instant. */
export type ClockBody =
  { readonly advance_seconds: number } | { readonly at?: string; readonly frozen?: boolean } | Record<string, never>;

export interface ClockAnswer {
  readonly now: string;
  readonly frozen: boolean;
}

/** `POST /test/{ns}/faults`: 201, as `GET` and `DELETE /test/{ns}/faults/{id}` answer too. */
export interface FaultBody {
  readonly method?: string;
  /** Exact, or a prefix that ends in `*`. */
  readonly path?: string;
  readonly status?: number;
  readonly code?: string;
  /** Seconds. */
  readonly retry_after?: number;
  readonly delay_ms?: number;
  readonly cut?: 'before' | 'after';
  /** How often it strikes; without it, always. */
  readonly times?: number;
  /** How many matching requests it lets pass first. */
  readonly skip?: number;
}

export interface FaultAnswer {
  readonly id: string;
  /** How many requests it was applied to. */
  readonly hits: number;
}

/** `POST /test/{ns}/keys/rotate` with `{force}`. */
export interface KeyAnswer {
  readonly kid: string;
  /** `next` is published and does not sign yet. */
  readonly status: 'next' | 'active';
}

/** `GET /test/{ns}/requests?path=&after=`, the oldest first; `after` is the `cursor` of an earlier answer. */
export interface RequestsAnswer {
  readonly requests: readonly RequestRecord[];
  readonly cursor: number;
}

export interface RequestRecord {
  /** When the request arrived, by the clock of the namespace. */
  readonly at: string;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** What the service answered; null when it was cut off before. */
  readonly status: number | null;
  /** The code of the problem that was answered. */
  readonly code?: string;
  readonly request_id?: string;
  readonly user_id?: string;
  readonly sid?: string;
  /** The id of the fault that was applied. */
  readonly fault?: string;
}

/**
 * `GET /test/{ns}/outbox?to=&after=&wait=`, the oldest first; `after` is the `cursor` of an earlier answer. With `wait`, in
 * seconds, an answer without messages waits for the next one.
 */
export interface OutboxAnswer {
  readonly messages: readonly MessageRecord[];
  readonly cursor: number;
}

export interface MessageRecord {
  readonly id: string;
  /** When it was sent, by the clock of the namespace. */
  readonly at: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The addresses in `text`. */
  readonly links: readonly string[];
  /** The codes of eight digits in `text`, without spaces. */
  readonly codes: readonly string[];
}

/** `GET /test/health`. */
export interface HealthAnswer {
  readonly version: string;
  readonly pid: number;
  readonly namespaces: readonly string[];
}
