/** A stored key that this process may not trust. An instance does not start with it, and ignores it while it runs. */
export abstract class UntrustedSigningKeyError extends Error {
  constructor(
    readonly kid: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Making a new key beside an unreadable one would sign every user out behind the operator's back. */
export class SigningKeyUnreadableError extends UntrustedSigningKeyError {
  constructor(kid: string, options?: ErrorOptions) {
    super(
      kid,
      `The signing key ${kid} in the database cannot be decrypted with AUTH_SECRET or any of AUTH_SECRET_ACCEPTED. ` +
        'Start with the secret it was encrypted under, listed in AUTH_SECRET_ACCEPTED if need be.',
      options,
    );
  }
}

/** Someone with write access to the database has replaced the public half of the key. */
export class SigningKeyAlteredError extends UntrustedSigningKeyError {
  constructor(kid: string) {
    super(
      kid,
      `The public half of the signing key ${kid} in the database is not the one that its id names: the row has been ` +
        'altered. Find out by whom, then delete the row; the service makes a new key when none is left.',
    );
  }
}
