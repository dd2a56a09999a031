import { generateSync } from 'otplib';
import type request from 'supertest';
import { pairOf, type Account, type TestClient, type TokenPair } from './test-client.js';
import type { TestDatabase } from './test-database.js';

/** Turns second factors on, without passkeys. */
export const FACTORS_ON = { SECOND_FACTORS: 'on' } as const;

const STEP_SECONDS = 30;

type Sql = Pick<TestDatabase, 'sql'>;

/** An authenticator app, which reads the time of the database. */
export class AuthenticatorApp {
  constructor(
    /** In base32. */
    readonly secret: string,
    private readonly database: Sql,
  ) {}

  /**
   * Shows the code of now, or of so many steps later. The service takes the steps next to its own as well, so it is right
   * also when a step has ended before the code arrives.
   */
  async code(stepsLater = 0): Promise<string> {
    return this.codeOfStep((await this.step()) + stepsLater);
  }

  /** The time step of now. */
  async step(): Promise<number> {
    const [row] = await this.database.sql<{ step: number }>(
      'select floor(extract(epoch from clock_timestamp()) / $1)::int as step',
      [STEP_SECONDS],
    );
    return row!.step;
  }

  codeOfStep(step: number): string {
    return generateSync({ secret: this.secret, epoch: step * STEP_SECONDS });
  }
}

/** The second factors of an account. */
export interface EnrolledTotp {
  readonly userId: string;
  readonly app: AuthenticatorApp;
  /** In base32. */
  readonly secret: string;
  readonly recoveryCodes: readonly string[];
  /** The answer to the first code of the app, and that code. */
  readonly confirmation: request.Response;
  readonly confirmedBy: string;
  /** Shows a code that is right, also if one of its step has been used: lets the service forget that. */
  readonly codeNow: () => Promise<string>;
}

/** Makes a secret for an app, which is no factor yet. */
export async function beginTotp(client: TestClient, database: Sql, accessToken: string): Promise<AuthenticatorApp> {
  const response = await client.post('/auth/totp', {}, { authorization: `Bearer ${accessToken}` });
  if (response.status !== 200) {
    throw new Error(`expected 200, got ${response.status}: ${response.text}`);
  }
  return new AuthenticatorApp((response.body as { secret: string }).secret, database);
}

/** Sends a code of an app that waits for its first. */
export async function confirmTotp(client: TestClient, accessToken: string, totp: string): Promise<request.Response> {
  return client.post('/auth/totp/confirm', { totp }, { authorization: `Bearer ${accessToken}` });
}

/** Gives an account an authenticator app, and recovery codes if it is its first factor. */
export async function enrolTotp(
  client: TestClient,
  database: Sql,
  { id: userId, pair }: Pick<Account, 'id'> & { readonly pair: Pick<TokenPair, 'access_token'> },
): Promise<EnrolledTotp> {
  const app = await beginTotp(client, database, pair.access_token);
  const confirmedBy = await app.code();
  const confirmed = await confirmTotp(client, pair.access_token, confirmedBy);
  if (confirmed.status !== 200 && confirmed.status !== 204) {
    throw new Error(`expected 200 or 204, got ${confirmed.status}: ${confirmed.text}`);
  }
  return {
    userId,
    app,
    secret: app.secret,
    recoveryCodes: (confirmed.body as { recovery_codes?: string[] }).recovery_codes ?? [],
    confirmation: confirmed,
    confirmedBy,
    codeNow: async () => {
      await database.sql('update totp_factors set last_step = 0 where user_id = $1', [userId]);
      return app.code();
    },
  };
}

/** The ticket of the second step, for the right password of a user who has a factor. */
export async function beginSignIn(client: TestClient, account: Pick<Account, 'email' | 'password'>): Promise<string> {
  const response = await client.login({ email: account.email, password: account.password });
  if (response.status !== 403) {
    throw new Error(`expected 403, got ${response.status}: ${response.text}`);
  }
  return (response.body as { ticket: string }).ticket;
}

/** The second step of a sign-in. */
export function proveSecondFactor(client: TestClient, ticket: string, proof: object): Promise<request.Response> {
  return client.post('/auth/login/second-factor', { ticket, ...proof });
}

/** A new session of an account that has an authenticator app. */
export async function signInWithTotp(
  client: TestClient,
  account: Pick<Account, 'email' | 'password'>,
  { codeNow }: Pick<EnrolledTotp, 'codeNow'>,
): Promise<TokenPair> {
  const ticket = await beginSignIn(client, account);
  return pairOf(await proveSecondFactor(client, ticket, { totp: await codeNow() }));
}
