import type { UnavailableError } from './errors.js';
import type { RecordStore } from './record.js';

export interface ClientOptions {
  /** Where the service is, as `https://auth.example.com`. In a page it may be relative to the page. */
  readonly baseUrl: string;
  /**
   * `cookie`: the page's origin is one of the service's `COOKIE_ORIGINS`. No script ever holds the refresh token.
   * `token`: it is in none of them. The refresh token is in the store.
   */
  readonly mode: 'cookie' | 'token';
  /** The origins that `client.fetch` sends the access token to, beside that of `baseUrl`: `['https://api.example.com']`. */
  readonly resources?: readonly string[];
  /** Default: `localStorage` in a page, otherwise memory. */
  readonly store?: RecordStore;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

export interface Account {
  readonly id: string;
  /** In its canonical form. */
  readonly email: string;
  readonly roles: readonly string[];
  /** RFC 3339, UTC. */
  readonly createdAt: string;
}

/** The service has sent a mail with a code. What the user types is good together with this, and in no other client. */
export interface PendingTicket {
  /** Good for nothing on its own. */
  readonly ticket: string;
  readonly expiresInSeconds: number;
}

/**
 * `unknown`: the store has not been read yet, or in cookie mode it does not say whether there is a cookie; `ready()` finds
 * out.
 */
export type ClientState = 'unknown' | 'signed_in' | 'signed_out';

/** What a listener gets. */
export interface ClientEvents {
  /** Here or in another tab. Comes again when another sign-in has replaced the session. */
  readonly signed_in: undefined;
  /** `reason`: the code of the service that has ended the session, `here` for `signOut()`, `elsewhere` for another tab. */
  readonly signed_out: { readonly reason: string };
  /** There is a new access token, by this tab or another. */
  readonly refreshed: undefined;
  /** A refresh got no answer. It goes on by itself, for 30 s, and then with the next use. */
  readonly unavailable: UnavailableError;
}
