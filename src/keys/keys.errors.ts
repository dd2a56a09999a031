/** Refuses the start: with an unreadable key, making a new one would sign every user out behind the operator's back. */
export class SigningKeyUnreadableError extends Error {
  constructor(
    readonly kid: string,
    options?: ErrorOptions,
  ) {
    super(
      `The signing key ${kid} in the database cannot be decrypted with AUTH_SECRET or any of AUTH_SECRET_ACCEPTED. ` +
        'Start with the secret it was encrypted under, listed in AUTH_SECRET_ACCEPTED if need be.',
      options,
    );
    this.name = 'SigningKeyUnreadableError';
  }
}
