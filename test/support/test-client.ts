import { randomBytes } from 'node:crypto';
import request, { type Response } from 'supertest';

export interface TokenPair {
  readonly access_token: string;
  readonly token_type: string;
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly refresh_expires_in: number;
}

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly password: string;
}

/** Passwords and keys carry markers that the secret scan looks for. */
export function newPassword(): string {
  return `pw-secret-${randomBytes(12).toString('hex')}`;
}

export function newIdempotencyKey(): string {
  return `ik-secret-${randomBytes(16).toString('hex')}`;
}

export function newEmail(): string {
  return `user-${randomBytes(8).toString('hex')}@example.com`;
}

/** Requests as a client of one instance sends them; answers come back whole, for the test to judge. */
export class TestClient {
  constructor(readonly url: string) {}

  register(body: object): Promise<Response> {
    return this.post('/auth/register', body);
  }

  login(body: object): Promise<Response> {
    return this.post('/auth/login', body);
  }

  async refresh(refreshToken: string, idempotencyKey?: string): Promise<Response> {
    const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    return this.post('/auth/refresh', { refresh_token: refreshToken }, headers);
  }

  /** The same by the route for OAuth clients. */
  async exchange(
    refreshToken: string,
    { idempotencyKey, scope }: { readonly idempotencyKey?: string | undefined; readonly scope?: string } = {},
  ): Promise<Response> {
    const form = { grant_type: 'refresh_token', client_id: 'ratchet', refresh_token: refreshToken };
    return request(this.url)
      .post('/oauth/token')
      .set(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey })
      .type('form')
      .send({ ...form, ...(scope !== undefined && { scope }) });
  }

  logout(credentials: { readonly refreshToken?: string; readonly accessToken?: string }): Promise<Response> {
    const body = credentials.refreshToken === undefined ? {} : { refresh_token: credentials.refreshToken };
    return this.post('/auth/logout', body, bearer(credentials.accessToken));
  }

  async logoutAll(accessToken: string): Promise<Response> {
    return request(this.url).post('/auth/logout-all').set(bearer(accessToken));
  }

  me(accessToken?: string): Promise<Response> {
    return this.get('/auth/me', accessToken);
  }

  sessions(accessToken: string): Promise<Response> {
    return this.get('/auth/sessions', accessToken);
  }

  async endSession(accessToken: string, sessionId: string): Promise<Response> {
    return request(this.url).delete(`/auth/sessions/${sessionId}`).set(bearer(accessToken));
  }

  changePassword(accessToken: string, currentPassword: string, newPassword: string): Promise<Response> {
    const body = { current_password: currentPassword, new_password: newPassword };
    return this.post('/auth/password', body, bearer(accessToken));
  }

  async post(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return request(this.url).post(path).set(headers).send(body);
  }

  async get(path: string, accessToken?: string): Promise<Response> {
    return request(this.url).get(path).set(bearer(accessToken));
  }

  /** A new account. */
  async signUp(): Promise<Account> {
    const credentials = { email: newEmail(), password: newPassword() };
    const response = await this.register(credentials);
    expectStatus(response, 201);
    return { ...credentials, id: (response.body as { id: string }).id };
  }

  /** A new session of an account. */
  async signIn(account: Pick<Account, 'email' | 'password'>): Promise<TokenPair> {
    return pairOf(await this.login({ email: account.email, password: account.password }));
  }

  /** A new account with one session. */
  async signUpAndIn(): Promise<Account & { readonly pair: TokenPair }> {
    const account = await this.signUp();
    return { ...account, pair: await this.signIn(account) };
  }

  /** A refresh that has to succeed. */
  async rotate(refreshToken: string, idempotencyKey?: string): Promise<TokenPair> {
    return pairOf(await this.refresh(refreshToken, idempotencyKey));
  }
}

/** The pair of an answer that has to be one. */
export function pairOf(response: Response): TokenPair {
  expectStatus(response, 200);
  return response.body as TokenPair;
}

/** The session that a token pair belongs to. */
export function sessionIdOf(pair: Pick<TokenPair, 'access_token'>): string {
  return claimsOf(pair.access_token)['sid'] as string;
}

export function claimsOf(accessToken: string): Record<string, unknown> {
  const [, payload = ''] = accessToken.split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

/** The `code` of a problem answer. */
export function codeOf(response: Pick<Response, 'body'>): string {
  return (response.body as { code: string }).code;
}

function bearer(accessToken: string | undefined): Record<string, string> {
  return accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` };
}

function expectStatus(response: Response, status: number): void {
  if (response.status !== status) {
    throw new Error(`expected ${status}, got ${response.status}: ${response.text}`);
  }
}
