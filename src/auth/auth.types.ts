import type { FastifyRequest } from 'fastify';
import type { ClientInfo } from '../tokens/tokens.types.js';
import type { Applicant } from '../users/users.types.js';

/** The one OAuth client, a public one: every token is issued to it (RFC 9068 section 2.2). */
export const CLIENT_ID = 'ratchet';

/** The identity that a verified access token proves. */
export interface Identity {
  readonly userId: string;
  readonly sessionId: string;
  readonly tokenId: string;
  readonly roles: readonly string[];
  /** Whole seconds since the epoch. */
  readonly expiresAtSeconds: number;
  /** How much the user has proved: an `Acr`, or a class that only a later version knows. */
  readonly acr: string;
  /** How the user proved who they are; empty when that is not recorded. */
  readonly amr: readonly string[];
  /** When the user last did, in whole seconds since the epoch; 0, long ago, when that is not recorded. */
  readonly authenticatedAtSeconds: number;
}

/** Where a request came from. */
export interface Client extends ClientInfo, Applicant {
  /** Puts the session, and its user once that is known, into the log line of the request. */
  readonly noteSession: (session: { readonly sessionId: string; readonly userId?: string }) => void;
}

/** A request that has passed the access-token guard; `user` is where passport puts its result. */
export interface AuthenticatedRequest extends FastifyRequest {
  user: Identity;
}

/** The result of every operation that opens or continues a session. */
export interface TokenPair {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly refreshToken: string;
  readonly refreshExpiresInSeconds: number;
  /** What the access token carries of the user's roles; its scope. */
  readonly roles: readonly string[];
}
