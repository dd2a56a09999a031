import { asUser } from './as-user.js';
import { INSIDE, type RatchetClient } from './client.js';
import { RefusedError, StepUpRequiredError } from './errors.js';
import { codesIn, type Passkey, type PasskeyBody, passkeyOf, renewed } from './passkey.js';
import { accepted, type Answer } from './service.js';

export { stepUpIn, StepUpRequiredError } from './errors.js';
export type { Passkey } from './passkey.js';

/** What a user may have besides the password. `recovery_code` stands in for a factor that is lost. */
export type Factor = 'totp' | 'passkey' | 'recovery_code';

/** A sign-in that waits for a second factor. */
export interface PendingSignIn {
  /** Good together with a factor of the same user, and for nothing else. */
  readonly ticket: string;
  readonly expiresInSeconds: number;
  /** Any one of these completes it. */
  readonly factors: readonly Factor[];
}

/** Six digits of the authenticator app, or one of the codes that were shown once. Passkeys are in an entry of their own. */
export type FactorCode = { readonly totp: string } | { readonly recoveryCode: string };

/** What a user has. */
export interface Factors {
  readonly totp: { readonly createdAt: string; readonly lastUsedAt: string | undefined } | undefined;
  readonly passkeys: readonly Passkey[];
  readonly recoveryCodesLeft: number;
}

/** The secret of an authenticator app, which proves nothing until one of its codes has been confirmed. */
export interface TotpSecret {
  /** In base32, for users who type it. */
  readonly secret: string;
  /** The same as an address, for a QR code. */
  readonly otpauthUri: string;
}

/**
 * Reads from what `signIn`, or another method that opens a session, has thrown that the user has a second factor.
 *
 * @returns undefined for every other error
 */
export function secondFactorIn(error: unknown): PendingSignIn | undefined {
  if (!(error instanceof RefusedError && error.code === 'second_factor_required')) {
    return undefined;
  }
  const { ticket, expires_in, factors } = error.problem as Pick<PendingSignIn, 'ticket' | 'factors'> & {
    readonly expires_in: number;
  };
  return { ticket, expiresInSeconds: expires_in, factors };
}

/**
 * Does what may ask for a stronger or a more recent sign-in. If it does, `prove` lets the user step up, and it is done again.
 *
 * @param prove rejects when the user does not want to
 */
export async function withStepUp<T>(
  act: () => Promise<T>,
  prove: (demand: StepUpRequiredError) => Promise<unknown>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof StepUpRequiredError)) {
      throw error;
    }
    await prove(error);
    return act();
  }
}

/** Makes what a client can do with second factors. The service answers 404 `not_found` where they are off. */
export function createFactors(client: RatchetClient): RatchetFactors {
  return new RatchetFactors(client);
}

/**
 * Signs in with a second factor, steps up, and changes the factors of a user. Made by `createFactors`.
 *
 * All methods throw RefusedError (`second_factor_invalid`, `ticket_invalid`, `validation_failed`, `too_many_attempts`,
 * `not_found`) and UnavailableError, the latter also when the request may have had its effect. Those that act for the user
 * who is signed in throw SignedOutError, and those that change factors throw StepUpRequiredError.
 */
export class RatchetFactors {
  readonly #client: RatchetClient;

  /** Use `createFactors`. */
  constructor(client: RatchetClient) {
    this.#client = client;
  }

  /** Completes a sign-in: opens the session that `signIn` has not opened. The ticket is good for several attempts. */
  async completeSignIn(proof: { readonly ticket: string } & FactorCode): Promise<void> {
    await this.#client[INSIDE].begin('/auth/login/second-factor', bodyOf(proof));
  }

  /**
   * Lets the user prove again who he is: the session goes on, and its access token says that the sign-in is recent, and how
   * strong. A password alone is refused for a user who has a second factor.
   *
   * @throws RefusedError also `invalid_credentials` for a wrong password, and `second_factor_required`
   */
  async stepUp(proof: { readonly password: string } | FactorCode): Promise<void> {
    await this.#client[INSIDE].begin('/auth/step-up', bodyOf(proof), 'session');
  }

  async list(): Promise<Factors> {
    const { totp, passkeys, recovery_codes_left } = (await this.#ask('GET', '/auth/factors')) as unknown as {
      readonly totp: { readonly created_at: string; readonly last_used_at: string | null } | null;
      readonly passkeys: readonly PasskeyBody[];
      readonly recovery_codes_left: number;
    };
    return {
      totp: totp ? { createdAt: totp.created_at, lastUsedAt: totp.last_used_at ?? undefined } : undefined,
      passkeys: passkeys.map(passkeyOf),
      recoveryCodesLeft: recovery_codes_left,
    };
  }

  /** Makes a secret, in the place of one that was not confirmed. */
  async beginTotp(): Promise<TotpSecret> {
    const made = (await this.#ask('POST', '/auth/totp', {})) as {
      readonly secret: string;
      readonly otpauth_uri: string;
    };
    return { secret: made.secret, otpauthUri: made.otpauth_uri };
  }

  /**
   * Makes the authenticator app a factor of the user. With the first factor, every other session of the user ends.
   *
   * @returns the recovery codes, which no one can see again; none if the user has some already
   */
  async confirmTotp({ totp }: { readonly totp: string }): Promise<readonly string[]> {
    const codes = codesIn(await this.#ask('POST', '/auth/totp/confirm', { totp }));
    await renewed(this.#client);
    return codes;
  }

  /** Removes the authenticator app, and the recovery codes with the last factor. */
  async removeTotp(): Promise<void> {
    await this.#ask('DELETE', '/auth/totp');
  }

  /** Makes ten codes, in the place of all that there were. No one can see them again. */
  async renewRecoveryCodes(): Promise<readonly string[]> {
    return codesIn(await this.#ask('POST', '/auth/recovery-codes', {}));
  }

  async #ask(method: string, path: string, body?: object): Promise<Answer['body']> {
    const answer = await asUser(this.#client, method)(path, body);
    return accepted(answer, answer.status === 204 ? 204 : 200);
  }
}

function bodyOf(proof: object): object {
  const { recoveryCode, ...rest } = proof as { readonly recoveryCode?: string };
  return { ...rest, recovery_code: recoveryCode };
}
