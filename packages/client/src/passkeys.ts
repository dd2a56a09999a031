import { asUser } from './as-user.js';
import { INSIDE, type RatchetClient } from './client.js';
import { codesIn, type Passkey, type PasskeyBody, passkeyOf, renewed } from './passkey.js';
import { browser } from './platform.js';
import { accepted, type Answer, type Post } from './service.js';

export { StepUpRequiredError } from './errors.js';
export type { Passkey } from './passkey.js';

/** A passkey that has just been made. */
export interface NewPasskey {
  readonly passkey: Passkey;
  /** With the first factor of the user. No one can see them again. */
  readonly recoveryCodes: readonly string[];
}

interface Asking {
  /** Ends the waiting for the user. A page has one request at a time, so end this one before another begins. */
  readonly signal?: AbortSignal;
}

/** As the service writes it: what is bytes in the browser is base64url here. */
interface OptionsBody {
  readonly challenge: string;
  readonly timeout?: number;
  readonly user?: { readonly id: string };
  readonly allowCredentials?: readonly { readonly id: string }[];
  readonly excludeCredentials?: readonly { readonly id: string }[];
}

interface Challenge {
  readonly ticket: string;
  readonly options: OptionsBody;
}

/** Whether this browser can have passkeys at all. */
export function hasPasskeys(): boolean {
  return Boolean(browser.PublicKeyCredential);
}

/** Whether this browser offers passkeys while the user fills in a form, as `signIn` with `autofill` needs. */
export async function canAutofill(): Promise<boolean> {
  return (await browser.PublicKeyCredential?.isConditionalMediationAvailable?.()) === true;
}

/** Makes what a client can do with passkeys. The service answers 404 `not_found` where they are off. */
export function createPasskeys(client: RatchetClient): RatchetPasskeys {
  return new RatchetPasskeys(client);
}

/**
 * Signs in with passkeys, and makes, renames and removes them. Made by `createPasskeys`.
 *
 * Where the browser asks the user, its own errors are thrown as they are. Their `name` says what happened:
 * `NotAllowedError` (the user did not want to, or has no passkey here), `AbortError` (by `signal`), `InvalidStateError` (the
 * device has a passkey of this account already).
 *
 * All methods throw RefusedError (`second_factor_invalid`, `ticket_invalid`, `validation_failed`, `too_many_attempts`,
 * `not_found`) and UnavailableError, the latter also when the request may have had its effect. Those that act for the user
 * who is signed in throw SignedOutError, and those that change passkeys throw StepUpRequiredError.
 */
export class RatchetPasskeys {
  readonly #client: RatchetClient;
  readonly #post: Post;
  readonly #postAsUser: Post;

  /** Use `createPasskeys`. */
  constructor(client: RatchetClient) {
    this.#client = client;
    this.#post = client[INSIDE].via();
    this.#postAsUser = asUser(client);
  }

  /**
   * Opens a session by a passkey alone, in the place of one that is there.
   *
   * @param autofill waits until the user picks a passkey among what the browser offers for a field with `autocomplete="username webauthn"`
   */
  async signIn({ autofill = false, ...asking }: Asking & { readonly autofill?: boolean } = {}): Promise<void> {
    const proof = await this.#prove(this.#post, {}, asking, autofill);
    await this.#client[INSIDE].begin('/auth/login/passkey', proof);
  }

  /** Opens the session that `signIn` of the client has not opened. */
  async completeSignIn({ ticket, ...asking }: Asking & { readonly ticket: string }): Promise<void> {
    const passkey = await this.#prove(this.#post, { ticket }, asking);
    await this.#client[INSIDE].begin('/auth/login/second-factor', { ticket, passkey });
  }

  /** Lets the user prove again who he is, as `stepUp` of `@ratchet/client/factors` does. */
  async stepUp(asking: Asking = {}): Promise<void> {
    const passkey = await this.#prove(this.#postAsUser, { step_up: true }, asking);
    await this.#client[INSIDE].begin('/auth/step-up', { passkey }, 'session');
  }

  /**
   * Makes a passkey of the user who is signed in. With the first factor, every other session of the user ends.
   *
   * @param name what the user calls it
   */
  async register({ name, signal }: Asking & { readonly name: string }): Promise<NewPasskey> {
    const { ticket, options } = challengeIn(await this.#postAsUser('/auth/passkeys/registration', {}));
    const made = await browser.navigator?.credentials?.create({ publicKey: bytesIn(options), signal });
    const credential = jsonOf(made);
    const body = accepted(await this.#postAsUser('/auth/passkeys', { ticket, credential, name }), 201);
    await renewed(this.#client);
    return { passkey: passkeyOf(body['passkey'] as PasskeyBody), recoveryCodes: codesIn(body) };
  }

  async rename({ id, name }: { readonly id: string; readonly name: string }): Promise<void> {
    accepted(await asUser(this.#client, 'PATCH')(pathOf(id), { name }), 200);
  }

  /** Removes a passkey, and the recovery codes with the last factor. The device still shows it, and the user may remove it there. */
  async remove({ id }: { readonly id: string }): Promise<void> {
    accepted(await asUser(this.#client, 'DELETE')(pathOf(id), undefined), 204);
  }

  async #prove(post: Post, body: object, { signal }: Asking, autofill = false): Promise<object> {
    for (;;) {
      const { ticket, options } = challengeIn(await post('/auth/passkeys/options', body));
      signal?.throwIfAborted();
      const aborter = new AbortController();
      const abort = (): void => {
        aborter.abort(signal?.reason);
      };
      signal?.addEventListener('abort', abort);
      const timer = autofill ? setTimeout(abort, AUTOFILL_MS) : undefined;
      try {
        const found = await browser.navigator?.credentials?.get({
          publicKey: bytesIn(options),
          signal: aborter.signal,
          ...(autofill && { mediation: 'conditional' }),
        });
        return { ticket, credential: jsonOf(found) };
      } catch (error) {
        if (!aborter.signal.aborted || signal?.aborted) {
          throw error;
        }
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      }
    }
  }
}

/** A page may offer passkeys for hours, and a challenge is good for five minutes. */
const AUTOFILL_MS = 240_000;

function challengeIn(answer: Answer): Challenge {
  return accepted(answer, 200) as unknown as Challenge;
}

function pathOf(id: string): string {
  return `/auth/passkeys/${encodeURIComponent(id)}`;
}

/**
 * What the browser takes. `parseRequestOptionsFromJSON` does the same, but Safari has it since 18.4 only.
 */
function bytesIn({ challenge, user, allowCredentials, excludeCredentials, ...rest }: OptionsBody): object {
  const each = (list?: readonly { readonly id: string }[]): object[] | undefined =>
    list?.map((credential) => ({ ...credential, id: bytesOf(credential.id) }));
  return {
    ...rest,
    challenge: bytesOf(challenge),
    ...(user && { user: { ...user, id: bytesOf(user.id) } }),
    allowCredentials: each(allowCredentials),
    excludeCredentials: each(excludeCredentials),
  };
}

/** What the service takes. The objects of password managers that stand in for the browser may lack `toJSON`. */
function jsonOf(credential: object | null | undefined): object {
  const { id, rawId, type, authenticatorAttachment, response } = credential as {
    readonly [name: string]: unknown;
    readonly response: { readonly getTransports?: () => readonly string[] } & Readonly<
      Record<string, ArrayBuffer | null>
    >;
  };
  const fields = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'];
  const encoded = fields.flatMap((name) => (response[name] ? [[name, textOf(response[name])]] : []));
  return {
    id,
    rawId: textOf(rawId as ArrayBuffer),
    type,
    authenticatorAttachment,
    response: { ...(Object.fromEntries(encoded) as object), transports: response.getTransports?.() },
    clientExtensionResults: {},
  };
}

function bytesOf(base64url: string): Uint8Array {
  return Uint8Array.from(atob(base64url.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));
}

function textOf(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '');
}
