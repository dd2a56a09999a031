/** Everything that the client throws on its own account. `code` is stable; branch on it and on nothing else. */
export abstract class RatchetClientError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RatchetClientError';
  }
}

/** Nobody is signed in, or the service has just ended the session: the user signs in. */
export class SignedOutError extends RatchetClientError {
  readonly code = 'signed_out';

  /** @param reason as in the event `signed_out` */
  constructor(readonly reason: string) {
    super(`signed out (${reason})`);
  }
}

/**
 * The service could not be asked, or could not answer. The session is kept and nothing is lost: the same call works when
 * the service can be reached. `cause` says what happened last.
 */
export class UnavailableError extends RatchetClientError {
  readonly code = 'unavailable';

  /** @param retryAfterSeconds what the service has asked for */
  constructor(
    message: string,
    options?: ErrorOptions,
    readonly retryAfterSeconds?: number,
  ) {
    super(message, options);
  }
}

/** The service has refused what was asked, for the reason that `code` names: `invalid_credentials`, `email_taken` … */
export class RefusedError extends RatchetClientError {
  constructor(
    readonly code: string,
    /** The HTTP status. */
    readonly status: number,
    /** The whole problem (RFC 9457), such as `errors` of `validation_failed`. */
    readonly problem: Readonly<Record<string, unknown>>,
    /** When to ask again, with `too_many_attempts`. */
    readonly retryAfterSeconds?: number,
  ) {
    super(`the service answered ${status} ${code}`);
  }
}

/** The user has to sign in again, or by a stronger means, before the service does what was asked (RFC 9470). */
export class StepUpRequiredError extends RatchetClientError {
  readonly code = 'insufficient_user_authentication';
  /** Any of these is enough; absent where only the time counts. */
  readonly acrValues: readonly string[] | undefined;
  /** How long ago the sign-in may have been at most. */
  readonly maxAgeSeconds: number | undefined;

  /** @param challenge the header `WWW-Authenticate` of the answer */
  constructor(challenge: string) {
    super('a more recent sign-in, or another kind of it, is needed');
    this.acrValues = /\bacr_values="([^"]*)"/.exec(challenge)?.[1]?.split(' ');
    const maxAge = /\bmax_age="?(\d+)/.exec(challenge)?.[1];
    this.maxAgeSeconds = maxAge === undefined ? undefined : Number(maxAge);
  }
}

/**
 * Reads from the answer of the service, of a gateway or of a backend that the user has to sign in again, or by a stronger means.
 *
 * @returns undefined for every other answer
 */
export function stepUpIn({ headers }: { readonly headers: Headers }): StepUpRequiredError | undefined {
  const challenge = headers.get('www-authenticate') ?? '';
  return challenge.includes('error="insufficient_user_authentication"')
    ? new StepUpRequiredError(challenge)
    : undefined;
}

/** The access token is in a cookie that no script can read (`ACCESS_COOKIE=on`). Use `client.fetch`. */
export class AccessTokenInCookieError extends RatchetClientError {
  readonly code = 'access_token_in_cookie';

  constructor() {
    super('the access token is in a cookie');
  }
}

/** `dispose()` has been called. */
export class DisposedError extends RatchetClientError {
  readonly code = 'disposed';

  constructor() {
    super('disposed of');
  }
}
