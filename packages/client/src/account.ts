import { asUser } from './as-user.js';
import { INSIDE, type RatchetClient } from './client.js';
import type { PendingTicket } from './options.js';
import { browser } from './platform.js';
import { accepted, type Answer, type Post, ticketIn } from './service.js';

export { StepUpRequiredError } from './errors.js';
export type { PendingTicket } from './options.js';

/** The ticket that this client got when it asked, and the eight digits of the mail. */
export interface TypedCode {
  readonly ticket: string;
  readonly code: string;
}

/** The token of a link in a mail. */
export interface LinkToken {
  readonly token: string;
}

const LINK =
  /^#(registration|password_reset|email_change|email_change_undo|sign_in_code|email_verification)=([\w-]+\.[\w-]+)$/;

/** What a link in a mail is for. */
export interface AccountLink extends LinkToken {
  readonly purpose:
    'registration' | 'password_reset' | 'email_change' | 'email_change_undo' | 'sign_in_code' | 'email_verification';
}

/**
 * Reads the link of a mail that has opened this page, and removes its token from the address, so that it stays in no
 * history and in nothing that is shared. Call it at the start and at every `hashchange`. Programs that check mails open
 * links as well: act on the token when the user presses a button, and not before.
 *
 * @returns undefined for any other address, which it leaves alone
 */
export function readAccountLink(
  location:
    { readonly hash: string; readonly pathname: string; readonly search: string } | undefined = browser.location,
): AccountLink | undefined {
  const [, purpose, token] = LINK.exec(location?.hash ?? '') ?? [];
  if (!location || token === undefined) {
    return undefined;
  }
  browser.history?.replaceState(browser.history.state, '', location.pathname + location.search);
  return { purpose: purpose as AccountLink['purpose'], token };
}

/** Makes what a client can do by mail. The service answers 404 `not_found` where its mail is off. */
export function createAccount(client: RatchetClient): RatchetAccount {
  return new RatchetAccount(client);
}

/**
 * Proves e-mail addresses, and lets in users who have forgotten their password. Made by `createAccount`.
 *
 * Whether an address has an account is told to no one but its mailbox, so every request for a mail is answered alike.
 *
 * All methods throw RefusedError (`ticket_invalid`, `code_invalid`, `validation_failed`, `too_many_attempts`, `not_found`)
 * and UnavailableError, the latter also when the request may have had its effect.
 */
export class RatchetAccount {
  readonly #post: Post;
  readonly #postAsUser: Post;
  readonly #begin: (path: string, body: object) => Promise<void>;

  /** Use `createAccount`. */
  constructor(client: RatchetClient) {
    const { via, begin } = client[INSIDE];
    this.#post = via();
    this.#postAsUser = asUser(client);
    this.#begin = begin;
  }

  /**
   * Makes the account that `client.signUp` has asked for, and opens a session of it. The code belongs to the ticket that
   * `signUp` has returned; the link works anywhere, with a password that is chosen there.
   *
   * @throws RefusedError `email_taken` when another has proven the address first
   */
  async completeSignUp(proof: TypedCode | (LinkToken & { readonly password: string })): Promise<void> {
    await this.#begin('/auth/register/complete', proof);
  }

  /** Asks for a mail with a link, with which `resetPassword` works for 30 minutes. */
  async forgotPassword({ email }: { readonly email: string }): Promise<void> {
    accepted(await this.#post('/auth/password/forgot', { email }), 202);
  }

  /** Replaces the password and ends every session of the user. Opens none: the user signs in. */
  async resetPassword({ token, newPassword }: LinkToken & { readonly newPassword: string }): Promise<void> {
    done(await this.#post('/auth/password/reset', { token, new_password: newPassword }, { limitMs: RESET_MS }));
  }

  /** Asks for a mail with a code and a link, for `signInWithCode`. */
  async requestEmailCode({ email }: { readonly email: string }): Promise<PendingTicket> {
    return ticketIn(await this.#post('/auth/email-code', { email }));
  }

  /**
   * Opens a session, in the place of one that is there.
   *
   * @throws RefusedError `account_disabled`
   */
  async signInWithCode(proof: TypedCode | LinkToken): Promise<void> {
    await this.#begin('/auth/login/email-code', proof);
  }

  /**
   * Asks for a change of the address: the new one gets a mail with a code and a link, and the old one a notice with a
   * link that undoes it.
   *
   * @throws StepUpRequiredError when the user has not signed in within the last minutes
   * @throws SignedOutError
   */
  async changeEmail({ newEmail }: { readonly newEmail: string }): Promise<PendingTicket> {
    return ticketIn(await this.#postAsUser('/auth/email', { new_email: newEmail }));
  }

  /**
   * Changes the address, and ends every session of the user except the one that asked. A link is good only where the
   * account that asked is signed in.
   *
   * @throws RefusedError `email_taken`
   * @throws SignedOutError for a link
   */
  async confirmEmail(proof: TypedCode | LinkToken): Promise<void> {
    await this.#prove('/auth/email/confirm', proof);
  }

  /** Brings the old address back, and ends every session. The password is void, and a mail with a reset link follows. */
  async undoEmailChange({ token }: LinkToken): Promise<void> {
    done(await this.#post('/auth/email/undo', { token }));
  }

  /**
   * Asks for a mail with a code and a link, for `verifyEmail`.
   *
   * @throws SignedOutError
   */
  async requestEmailVerification(): Promise<PendingTicket> {
    return ticketIn(await this.#postAsUser('/auth/email/verification', {}));
  }

  /**
   * Notes that the user's mailbox has been proven. A link is good only where the account that asked is signed in.
   *
   * @throws SignedOutError for a link
   */
  async verifyEmail(proof: TypedCode | LinkToken): Promise<void> {
    await this.#prove('/auth/email/verify', proof);
  }

  async #prove(path: string, proof: TypedCode | LinkToken): Promise<void> {
    done(await ('token' in proof ? this.#postAsUser : this.#post)(path, proof));
  }
}

/** Longer than the service waits for a password hash. */
const RESET_MS = 20_000;

function done(answer: Answer): void {
  accepted(answer, 204);
}
