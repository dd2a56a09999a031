import request, { type Response } from 'supertest';
import { type CreationOptions, type RequestOptions, SoftwareAuthenticator } from './software-authenticator.js';
import type { TestClient, TokenPair } from './test-client.js';

export const PASSKEY_ORIGIN = 'https://app.example.com';

/** Turns second factors on, with passkeys. */
export const PASSKEYS_ON = {
  SECOND_FACTORS: 'on',
  WEBAUTHN_RP_ID: 'example.com',
  WEBAUTHN_ORIGINS: PASSKEY_ORIGIN,
} as const;

/** With an origin of another domain, for which there is `/.well-known/webauthn`. */
export const RELATED_PASSKEYS_ON = {
  ...PASSKEYS_ON,
  WEBAUTHN_ORIGINS: `${PASSKEY_ORIGIN},https://app.example.org`,
} as const;

export interface Begun<Options> {
  readonly ticket: string;
  readonly options: Options;
}

type AccessToken = Pick<TokenPair, 'access_token'>;

export const bearerOf = ({ access_token }: AccessToken): Record<string, string> => ({
  authorization: `Bearer ${access_token}`,
});

/** Begins the use of a passkey; `{}` by anyone. */
export async function beginPasskey(
  client: TestClient,
  body: object = {},
  pair?: AccessToken,
): Promise<Begun<RequestOptions>> {
  return begunOf(await client.post('/auth/passkeys/options', body, pair && bearerOf(pair)));
}

export async function beginRegistration(client: TestClient, pair: AccessToken): Promise<Begun<CreationOptions>> {
  return begunOf(await client.post('/auth/passkeys/registration', {}, bearerOf(pair)));
}

/** Registers the passkey of an authenticator; the answer is for the test to judge. */
export async function registerPasskey(
  client: TestClient,
  pair: AccessToken,
  authenticator: SoftwareAuthenticator,
  name = 'Phone',
): Promise<Response> {
  const { ticket, options } = await beginRegistration(client, pair);
  return client.post('/auth/passkeys', { ticket, credential: authenticator.create(options), name }, bearerOf(pair));
}

/** Gives an account a passkey from a session of it that is recent enough. */
export async function enrolPasskey(
  client: TestClient,
  pair: AccessToken,
  authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }),
): Promise<{ readonly authenticator: SoftwareAuthenticator; readonly recoveryCodes: readonly string[] }> {
  const response = await registerPasskey(client, pair, authenticator);
  if (response.status !== 201) {
    throw new Error(`expected 201, got ${response.status}: ${response.text}`);
  }
  return { authenticator, recoveryCodes: (response.body as { recovery_codes?: string[] }).recovery_codes ?? [] };
}

/** Signs in with a passkey alone. */
export async function signInByPasskey(client: TestClient, authenticator: SoftwareAuthenticator): Promise<Response> {
  const { ticket, options } = await beginPasskey(client);
  return client.post('/auth/login/passkey', { ticket, credential: authenticator.get(options) });
}

/** Sends a request without a body, or one that `TestClient` has no method for. */
export async function send(
  client: TestClient,
  method: 'patch' | 'delete',
  path: string,
  pair: AccessToken,
  body?: object,
): Promise<Response> {
  return request(client.url)[method](path).set(bearerOf(pair)).send(body);
}

function begunOf<Options>(response: Response): Begun<Options> {
  if (response.status !== 200) {
    throw new Error(`expected 200, got ${response.status}: ${response.text}`);
  }
  return response.body as Begun<Options>;
}
