/** 69 bytes are 92 characters exactly: no slack bits, so a token has one spelling only. */
export const REFRESH_TOKEN_SHAPE = /^rt1\.[A-Za-z0-9_-]{92}$/;

export const REFRESH_TOKEN_CHARACTERS = 96;

/** Why a session ended; stands in the database and in the log, and decides which error the holder gets. */
export type RevokeReason =
  | 'logout'
  | 'logout_all'
  | 'session_ended'
  | 'session_limit'
  | 'password_changed'
  | 'email_changed'
  | 'factors_changed'
  | 'user_disabled'
  | 'user_deleted'
  | 'operator'
  | 'reuse'
  | 'rolled_back'
  /** The database had lost the end of the session, and an instance remembered it. */
  | 'restored';

/**
 * How a user proves who they are, by its name in the registry of RFC 8176: a password; a code that is good once; a key that
 * signs, of which OpenID Connect EAP ACR Values 1.0 speaks; that the key asked for a PIN or a biometric; and that it was more
 * than one factor. An `amr` has them in this order.
 */
export const AUTHENTICATION_METHODS = ['pwd', 'otp', 'pop', 'user', 'mfa'] as const;

export type AuthenticationMethod = (typeof AUTHENTICATION_METHODS)[number];

/** Where a request came from, as far as is known; for the session list and the log, never for a decision. */
export interface ClientInfo {
  readonly ipAddress: string | undefined;
  readonly userAgent: string | undefined;
}

/** What an access token is made from. */
export interface AccessGrant {
  readonly sessionId: string;
  readonly userId: string;
  /** What the access token carries; the refresh token stands for all that the user has. */
  readonly roles: readonly string[];
  /**
   * How the user proved who they are. Empty when that is not recorded; other instances may know methods that this version
   * does not.
   */
  readonly amr: readonly string[];
  /** When the user last did, in whole seconds since the epoch. A refresh never moves it. */
  readonly authenticatedAtSeconds: number;
  /** The database's time in whole seconds since the epoch, so that the clocks of instances do not matter. */
  readonly issuedAtSeconds: number;
  /** Absolute end of the session, in whole seconds since the epoch. */
  readonly sessionExpiresAtSeconds: number;
}

/** What a login or a refresh hands out. */
export interface SessionGrant extends AccessGrant {
  readonly refreshToken: string;
  /** Until the token is too old to be used: the smaller of the idle limit and what is left of the session. */
  readonly refreshExpiresInSeconds: number;
}

/** Names a family before it exists, so that a retry does not create a second one. */
export interface NewFamily {
  readonly id: string;
  readonly secret: Buffer;
}

/** Which of a user's sessions go on when all others are ended. */
export interface SessionsToSpare {
  /** The family that the same transaction makes in their place, which a retry finds there. */
  readonly exceptId?: string;
  /** The session whose access token asks for it: if that has ended itself, those opened since are spared. */
  readonly askedBySessionId?: string;
}

export interface EndedSessions {
  /** What this call ended. */
  readonly endedIds: readonly string[];
  /**
   * All sessions of the user that have ended within the life of an access token, by whichever call. After the commit
   * these are for `announceEnded`: this instance may not have heard yet of those that another one ended.
   */
  readonly allEndedIds: readonly string[];
}

export interface Session {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
  readonly ipAddress: string | undefined;
  readonly userAgent: string | undefined;
}

/** What a follower of revocations has not read yet. */
export interface RevocationPage {
  /** The text of the members of a JSON array, shared by the readers at one position. */
  readonly sessionIds: Buffer;
  /** The cursor to send with the next request. */
  readonly cursor: string;
  /**
   * How old the news is at most: what was committed earlier is in this page or an earlier one. Longer than the window
   * in a page that others follow.
   */
  readonly ageSeconds: number;
  /** How long the answer was held back, so that a follower can compute its age from the time of the request. */
  readonly waitedSeconds: number;
}

export interface RefreshRequest {
  /** The client's `Idempotency-Key`, already of the documented shape. */
  readonly idempotencyKey: string | undefined;
  /**
   * What the access token is to carry of the user's roles, all when undefined. The refresh is refused if it is more. At
   * least one, each in the syntax of RFC 6749 section 3.3 and no two alike.
   */
  readonly requestedRoles?: readonly string[] | undefined;
  readonly client: ClientInfo;
  /** Called right before the statement is sent: whether the client no longer waits for the answer. */
  readonly isAbandoned: () => boolean;
}
