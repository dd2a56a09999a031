import { describe, expect, it } from 'vitest';
import request, { type Response } from 'supertest';
import { type AccessToken, createVerifier, toProblem, type VerificationError } from '@ratchet/verifier';
import { CookieJar, parseSetCookie } from './support/cookie-jar.js';
import { PASSKEYS_ON } from './support/passkeys.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, newEmail, newIdempotencyKey, newPassword } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const APP = 'https://app.example.test';
const SPA_IN_BODY_MODE = 'https://spa.example.test';
const EVIL = 'https://evil.example.test';
const REFRESH = '__Host-Http-ratchet-refresh';
const ACCESS = '__Host-Http-ratchet-access';

const SETTINGS = { JWT_ISSUER: 'https://auth.example.test', COOKIE_ORIGINS: APP, CORS_ORIGINS: SPA_IN_BODY_MODE };

interface Sent {
  /** `null` for none. */
  readonly origin?: string | null;
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | undefined;
}

/** A page of an origin, with the cookies that its browser keeps for the service. */
class Page {
  readonly jar = new CookieJar();

  constructor(
    private readonly service: Pick<TestService, 'url'>,
    private readonly origin: string | null = APP,
  ) {}

  async post(path: string, sent: Sent = {}): Promise<Response> {
    return this.send(request(this.service.url).post(path), sent);
  }

  async get(path: string, sent: Sent = {}): Promise<Response> {
    return this.send(request(this.service.url).get(path), sent);
  }

  async delete(path: string, sent: Sent = {}): Promise<Response> {
    return this.send(request(this.service.url).delete(path), sent);
  }

  async refresh(sent: Sent = {}): Promise<Response> {
    return this.post('/auth/refresh', { key: newIdempotencyKey(), ...sent });
  }

  async login({ email, password }: Pick<Account, 'email' | 'password'>): Promise<Response> {
    return this.post('/auth/login', { body: { email, password } });
  }

  private async send(call: request.Test, { origin = this.origin, key, headers = {}, body }: Sent): Promise<Response> {
    const answer = await call
      .set({
        ...(origin !== null && { origin }),
        ...(key !== undefined && { 'idempotency-key': key }),
        ...(this.jar.header !== '' && { cookie: this.jar.header }),
        ...headers,
      })
      .send(body);
    if (answer.status >= 400) {
      expect(cookiesOf(answer)).toEqual([]);
    }
    this.jar.store(answer.headers['set-cookie']);
    return answer;
  }
}

function cookiesOf(answer: Pick<Response, 'headers'>): ReturnType<typeof parseSetCookie>[] {
  const lines = answer.headers['set-cookie'] as string | readonly string[] | undefined;
  return [lines ?? []].flat().map(parseSetCookie);
}

const REFRESH_ATTRIBUTES = { Path: '/', Secure: '', HttpOnly: '', SameSite: 'Strict' };
const ACCESS_ATTRIBUTES = { ...REFRESH_ATTRIBUTES, SameSite: 'Lax' };

const REMOVED = [
  { name: REFRESH, value: '', attributes: { ...REFRESH_ATTRIBUTES, 'Max-Age': '0' } },
  { name: ACCESS, value: '', attributes: { ...ACCESS_ATTRIBUTES, 'Max-Age': '0' } },
];

describe('cookie mode', () => {
  const database = useDatabase();
  const service = useInstance(database, SETTINGS);
  const withAccessCookie = useInstance(database, { ...SETTINGS, ...PASSKEYS_ON, ACCESS_COOKIE: 'on' });
  const local = useInstance(database, { JWT_ISSUER: 'http://localhost:3000', COOKIE_ORIGINS: 'http://localhost:5173' });

  const proxy = useProxy(database);
  const behindProxy = useInstance(proxy, { ...SETTINGS, ACCESS_COOKIE: 'on', RATE_LIMITS: 'on' });

  async function signedIn(instance: Pick<TestService, 'url'> = service): Promise<{ page: Page; account: Account }> {
    const account = await service.client.signUp();
    const page = new Page(instance);
    expect((await page.login(account)).status).toBe(200);
    return { page, account };
  }

  async function liveSessions({ id }: Account): Promise<number> {
    const [row] = await database.sql<{ count: string }>(
      'select count(*) from refresh_token_families where user_id = $1 and revoked_at is null',
      [id],
    );
    return Number(row!.count);
  }

  describe('the answers to a cookie origin', () => {
    it.each([
      ['login', (page: Page, account: Account) => page.login(account)],
      ['refresh', (page: Page) => page.refresh()],
      [
        'password change',
        async (page: Page, { password }: Account) => {
          const refreshed = await page.refresh();
          const { access_token } = refreshed.body as { access_token: string };
          return page.post('/auth/password', {
            headers: { authorization: `Bearer ${access_token}` },
            body: { current_password: password, new_password: newPassword() },
          });
        },
      ],
    ])('a %s puts the refresh token into a cookie and never into the body', async (_name, open) => {
      const { page, account } = await signedIn();
      const answer = await open(page, account);
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({
        access_token: expect.stringMatching(/^eyJ/) as string,
        token_type: 'Bearer',
        expires_in: 300,
        refresh_expires_in: 1_209_600,
      });
      expect(cookiesOf(answer)).toEqual([
        {
          name: REFRESH,
          value: expect.stringMatching(/^rt1\.[\w-]{92}$/) as string,
          attributes: { ...REFRESH_ATTRIBUTES, 'Max-Age': '1209600' },
        },
      ]);
      expect(answer.text).not.toContain('rt1.');
      expect(answer.headers['clear-site-data']).toBeUndefined();
    });

    it('with ACCESS_COOKIE=on the access token is in a cookie too, and in no body', async () => {
      const { page } = await signedIn(withAccessCookie);
      const answer = await page.refresh();
      expect(answer.body).toEqual({ token_type: 'Bearer', expires_in: 300, refresh_expires_in: 1_209_600 });
      const [refresh, access] = cookiesOf(answer);
      expect(refresh).toMatchObject({ name: REFRESH, attributes: { 'Max-Age': '1209600' } });
      expect(access).toEqual({
        name: ACCESS,
        value: expect.stringMatching(/^eyJ/) as string,
        attributes: { ...ACCESS_ATTRIBUTES, 'Max-Age': '300' },
      });
      expect(answer.text).not.toMatch(/rt1\.|eyJ/);
    });

    it('on this machine without TLS the names have no prefix and the cookies no Secure, which Safari refuses', async () => {
      const account = await service.client.signUp();
      const page = new Page(local, 'http://localhost:5173');
      expect(cookiesOf(await page.login(account))).toMatchObject([
        { name: 'ratchet-refresh', attributes: { Path: '/', HttpOnly: '', SameSite: 'Strict', 'Max-Age': '1209600' } },
      ]);
      expect((await page.refresh()).status).toBe(200);
      expect(cookiesOf(await page.post('/auth/logout'))).toEqual([
        {
          name: 'ratchet-refresh',
          value: '',
          attributes: { Path: '/', HttpOnly: '', SameSite: 'Strict', 'Max-Age': '0' },
        },
        { name: 'ratchet-access', value: '', attributes: { Path: '/', HttpOnly: '', SameSite: 'Lax', 'Max-Age': '0' } },
      ]);
    });

    it('a registration opens no session and sets no cookie', async () => {
      const answer = await new Page(service).post('/auth/register', {
        body: { email: newEmail(), password: newPassword() },
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([201, []]);
    });

    it('/oauth/token exchanges nothing for a cookie origin, and reads no cookie', async () => {
      const { page, account } = await signedIn();
      const form = { grant_type: 'refresh_token', client_id: 'ratchet', refresh_token: page.jar.get(REFRESH)! };
      const answer = await request(service.url).post('/oauth/token').set('origin', APP).type('form').send(form);
      expect([answer.status, answer.body]).toEqual([
        400,
        { error: 'invalid_request', error_description: 'Origin is one whose sessions live in cookies' },
      ]);
      const byCookie = await request(service.url)
        .post('/oauth/token')
        .set('cookie', page.jar.header)
        .type('form')
        .send({ ...form, refresh_token: undefined });
      expect(byCookie.body).toMatchObject({ error: 'invalid_request' });
      expect(await liveSessions(account)).toBe(1);
      expect((await page.refresh()).status).toBe(200);
    });
  });

  describe('the answers to anyone else', () => {
    it.each([
      ['no origin', null],
      ['an origin of CORS_ORIGINS', SPA_IN_BODY_MODE],
      ['a foreign origin', EVIL],
      ['a sandboxed frame', 'null'],
      ['the origin in capital letters', 'HTTPS://APP.EXAMPLE.TEST'],
      ['a port of the origin', `${APP}:444`],
      ['two origins', `${APP}, ${APP}`],
    ])('have the tokens in the body and set no cookie, with %s', async (_name, origin) => {
      const account = await service.client.signUp();
      const page = new Page(service, origin);
      const login = await page.login(account);
      expect(Object.keys(login.body as object).sort()).toEqual([
        'access_token',
        'expires_in',
        'refresh_expires_in',
        'refresh_token',
        'token_type',
      ]);
      const { refresh_token, access_token } = login.body as { refresh_token: string; access_token: string };
      const refreshed = await page.post('/auth/refresh', { body: { refresh_token } });
      const authorization = { authorization: `Bearer ${access_token}` };
      const logout = await page.post('/auth/logout', { headers: authorization });
      expect([refreshed.status, logout.status]).toEqual([200, 204]);
      expect([login, refreshed, logout].map(cookiesOf)).toEqual([[], [], []]);
    });

    it('read no cookie where the body has the token', async () => {
      const { page, account } = await signedIn();
      const pair = await service.client.signIn(account);
      const answer = await page.post('/auth/refresh', {
        origin: null,
        body: { refresh_token: pair.refresh_token },
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, []]);
      expect((await page.refresh()).status).toBe(200);
    });
  });

  describe('a refresh', () => {
    it('replays for the same key, also when the answer and its cookie were lost', async () => {
      const { page } = await signedIn();
      const before = page.jar.get(REFRESH)!;
      const key = newIdempotencyKey();
      const first = await page.refresh({ key });
      const successor = page.jar.get(REFRESH);
      page.jar.set(REFRESH, before);
      const again = await page.refresh({ key });
      expect([first.status, again.status]).toEqual([200, 200]);
      expect(page.jar.get(REFRESH)).toBe(successor);
      expect(again.body).not.toHaveProperty('refresh_token');
    });

    it('whose cookie arrived and whose body did not is 422 for the same key, and the next key refreshes', async () => {
      const { page, account } = await signedIn();
      const key = newIdempotencyKey();
      await page.refresh({ key });
      const again = await page.refresh({ key });
      expectProblem(again, 'idempotency_key_reused');
      expect(cookiesOf(again)).toEqual([]);
      expect(await liveSessions(account)).toBe(1);
      expect((await page.refresh()).status).toBe(200);
    });

    it('takes an empty object, no body and an Authorization header, which is no credential here', async () => {
      const { page } = await signedIn();
      for (const sent of [{}, { body: {} }, { headers: { authorization: 'Bearer x' } }]) {
        expect((await page.refresh(sent)).status).toBe(200);
      }
    });

    it('without a cookie is 401 like a token that is none, and counts against no limit', async () => {
      // More than a network may show tokens that are none.
      const answers = await Promise.all(Array.from({ length: 320 }, () => new Page(behindProxy).refresh()));
      expect([...new Set(answers.map(({ status }) => status))]).toEqual([401]);
      expectProblem(answers[0]!, 'refresh_token_invalid');
    });

    it.each<[string, (page: Page) => Promise<Response>, Parameters<typeof expectProblem>[1]]>([
      ['a token in the body', (page) => page.refresh({ body: { refresh_token: 'rt1.x' } }), 'validation_failed'],
      ['null in the body', (page) => page.refresh({ body: { refresh_token: null } }), 'validation_failed'],
      ['no key', (page) => page.refresh({ key: undefined }), 'validation_failed'],
      ['a short key', (page) => page.refresh({ key: 'x'.repeat(21) }), 'validation_failed'],
      ['a key with a space', (page) => page.refresh({ key: `${'x'.repeat(30)} y` }), 'validation_failed'],
      ['a foreign origin', (page) => page.refresh({ origin: EVIL }), 'cross_site_request'],
      ['an origin of CORS_ORIGINS', (page) => page.refresh({ origin: SPA_IN_BODY_MODE }), 'cross_site_request'],
      ['the origin null', (page) => page.refresh({ origin: 'null' }), 'cross_site_request'],
      ['no origin', (page) => page.refresh({ origin: null }), 'cross_site_request'],
      [
        'no origin and Sec-Fetch-Site: same-origin',
        (page) => page.refresh({ origin: null, headers: { 'sec-fetch-site': 'same-origin' } }),
        'cross_site_request',
      ],
      [
        'two cookies',
        (page) => page.refresh({ headers: { cookie: `${page.jar.header}; ${REFRESH}=x` } }),
        'malformed_request',
      ],
      [
        'the cookie twice',
        (page) => page.refresh({ headers: { cookie: `${page.jar.header};${page.jar.header}` } }),
        'malformed_request',
      ],
      [
        'a cookie of another case only',
        (page) => page.refresh({ headers: { cookie: page.jar.header.replace(REFRESH, REFRESH.toLowerCase()) } }),
        'refresh_token_invalid',
      ],
      [
        'a quoted cookie',
        (page) => page.refresh({ headers: { cookie: `${REFRESH}="${page.jar.get(REFRESH)!}"` } }),
        'refresh_token_invalid',
      ],
      ['an empty cookie', (page) => page.refresh({ headers: { cookie: `${REFRESH}=` } }), 'refresh_token_invalid'],
    ])('with %s is refused, touches no cookie and changes nothing', async (_name, send, code) => {
      const { page, account } = await signedIn();
      const before = page.jar.get(REFRESH);
      const answer = await send(page);
      expect((answer.body as { code: string }).code).toBe(code);
      expect(cookiesOf(answer)).toEqual([]);
      expect(page.jar.get(REFRESH)).toBe(before);
      expect(await liveSessions(account)).toBe(1);
      expect((await page.refresh()).status).toBe(200);
    });

    it('of a used cookie with another key ends the session, and touches no cookie of a later login', async () => {
      const { page, account } = await signedIn();
      const used = page.jar.get(REFRESH)!;
      await page.refresh();
      await page.login(account);
      const later = page.jar.get(REFRESH);
      const answer = await page.refresh({ headers: { cookie: `${REFRESH}=${used}` } });
      expectProblem(answer, 'refresh_token_reused');
      expect(cookiesOf(answer)).toEqual([]);
      expect(page.jar.get(REFRESH)).toBe(later);
      expect((await page.refresh()).status).toBe(200);
    });
  });

  describe('a logout', () => {
    it('ends the session of the cookie and removes both cookies', async () => {
      const { page, account } = await signedIn();
      const answer = await page.post('/auth/logout');
      expect([answer.status, cookiesOf(answer)]).toEqual([204, REMOVED]);
      expect(answer.headers['clear-site-data']).toBeUndefined();
      expect(await liveSessions(account)).toBe(0);
      expect(page.jar.header).toBe('');
    });

    it.each([
      ['no cookie', ''],
      ['a cookie that is no token', `${REFRESH}=x`],
      ['an empty cookie', `${REFRESH}=`],
    ])('removes both cookies with %s too', async (_name, cookie) => {
      const answer = await new Page(service).post('/auth/logout', { headers: { cookie } });
      expect([answer.status, cookiesOf(answer)]).toEqual([204, REMOVED]);
    });

    it('removes the cookies of a session that has ended, and of a dead access cookie', async () => {
      const { page, account } = await signedIn(withAccessCookie);
      const cookie = `${REFRESH}=${page.jar.get(REFRESH)!}; ${ACCESS}=eyJ.dead.token`;
      for (const expected of [0, 0]) {
        const answer = await page.post('/auth/logout', { headers: { cookie } });
        expect([answer.status, cookiesOf(answer)]).toEqual([204, REMOVED]);
        expect(await liveSessions(account)).toBe(expected);
      }
    });

    it('ends the session of an access token as well as that of the cookie', async () => {
      const { page, account } = await signedIn();
      const { access_token } = await service.client.signIn(account);
      const authorization = { authorization: `Bearer ${access_token}` };
      const answer = await page.post('/auth/logout', { headers: authorization });
      expect([answer.status, cookiesOf(answer), await liveSessions(account)]).toEqual([204, REMOVED, 0]);
    });

    it('ends the session of an access token, whatever is in the cookie', async () => {
      const { page, account } = await signedIn();
      const { access_token } = await service.client.signIn(account);
      const headers = { authorization: `Bearer ${access_token}`, cookie: `${REFRESH}=x` };
      const answer = await page.post('/auth/logout', { headers });
      expect([answer.status, await liveSessions(account)]).toEqual([204, 1]);
    });

    it.each<[string, Sent, Parameters<typeof expectProblem>[1]]>([
      ['a foreign origin', { origin: EVIL }, 'cross_site_request'],
      ['no origin', { origin: null }, 'cross_site_request'],
      ['a token in the body', { body: { refresh_token: 'rt1.x' } }, 'validation_failed'],
      ['two cookies', { headers: { cookie: `${REFRESH}=x; ${REFRESH}=y` } }, 'malformed_request'],
      ['a bad access token', { headers: { authorization: 'Bearer x' } }, 'access_token_invalid'],
    ])('with %s is refused, touches no cookie and ends nothing', async (_name, sent, code) => {
      const { page, account } = await signedIn();
      const answer = await page.post('/auth/logout', sent);
      expect((answer.body as { code: string }).code).toBe(code);
      expect([cookiesOf(answer), await liveSessions(account)]).toEqual([[], 1]);
    });
  });

  it('a logout everywhere removes both cookies, and without a good access token it claims nothing', async () => {
    const { page, account } = await signedIn();
    await service.client.signIn(account);
    const refused = await page.post('/auth/logout-all');
    expectProblem(refused, 'access_token_missing');
    expect([cookiesOf(refused), await liveSessions(account)]).toEqual([[], 2]);
    const { access_token } = (await page.refresh()).body as { access_token: string };
    const answer = await page.post('/auth/logout-all', { headers: { authorization: `Bearer ${access_token}` } });
    expect([answer.status, cookiesOf(answer), await liveSessions(account)]).toEqual([204, REMOVED, 0]);
  });

  it('ending one session removes the cookies if it is the own one', async () => {
    const { page, account } = await signedIn(withAccessCookie);
    const other = await service.client.signIn(account);
    const ofOther = await page.delete(`/auth/sessions/${String(claimsOf(other.access_token)['sid'])}`);
    expect([ofOther.status, cookiesOf(ofOther)]).toEqual([204, []]);
    const own = String(claimsOf(page.jar.get(ACCESS)!)['sid']);
    const answer = await page.delete(`/auth/sessions/${own}`);
    expect([answer.status, cookiesOf(answer), await liveSessions(account)]).toEqual([204, REMOVED, 0]);
  });

  describe('the access cookie', () => {
    const READING = [
      ['the origin', { origin: APP }, 200],
      ['no origin and same-origin', { 'sec-fetch-site': 'same-origin' }, 200],
      ['no origin and none', { 'sec-fetch-site': 'none' }, 200],
      [
        'a plain navigation from elsewhere',
        { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
        200,
      ],
      ['a frame', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, 403],
      ['an image of a sibling', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' }, 403],
      ['a foreign origin and same-origin', { origin: EVIL, 'sec-fetch-site': 'same-origin' }, 403],
      ['the origin null', { origin: 'null' }, 403],
      ['none of these headers', {}, 403],
    ] as const;

    it.each(READING)('with %s authenticates GET /auth/me: %o → %i', async (_name, headers, status) => {
      const { page } = await signedIn(withAccessCookie);
      const answer = await page.get('/auth/me', { origin: null, headers });
      expect(answer.status).toBe(status);
      if (status === 403) {
        expectProblem(answer, 'cross_site_request');
      }
      expect(cookiesOf(answer)).toEqual([]);
    });

    it.each(READING)('with %s answers a gateway about a GET: %o → %i', async (_name, headers, status) => {
      const { page } = await signedIn(withAccessCookie);
      for (const name of ['x-forwarded-method', 'x-original-method']) {
        const answer = await page.get('/auth/verify/orders', {
          origin: null,
          headers: { ...headers, [name]: 'GET' },
        });
        expect(answer.status).toBe(status);
        expect(answer.headers['x-auth-error']).toBe(status === 403 ? 'cross_site_request' : undefined);
      }
    });

    it.each(READING.map(([name, headers]) => [name, headers, 'origin' in headers && headers.origin === APP] as const))(
      'with %s answers a gateway about what may change something by the origin alone: %o',
      async (_name, headers, passes) => {
        const { page } = await signedIn(withAccessCookie);
        const questions = [
          {},
          { 'x-forwarded-method': 'POST' },
          { 'x-original-method': 'DELETE' },
          { 'x-forwarded-method': 'get' },
          { 'x-forwarded-method': '' },
          { 'x-forwarded-method': 'GET', 'x-original-method': 'POST' },
          { 'x-forwarded-method': 'GET, POST' },
        ];
        for (const named of questions) {
          const answer = await page.get('/auth/verify', {
            origin: null,
            headers: { ...headers, ...(named as Record<string, string>) },
          });
          expect(answer.status).toBe(passes ? 200 : 403);
        }
      },
    );

    it('answers a gateway by the method that it names, whatever the method of the question', async () => {
      const { page } = await signedIn(withAccessCookie);
      for (const [named, status] of [
        [{ 'x-original-method': 'GET' }, 200],
        [{ 'x-original-method': 'POST' }, 403],
        [{}, 403],
      ] as const) {
        const asked = { origin: null, headers: { 'sec-fetch-site': 'same-origin', ...named } };
        for (const answer of [await page.get('/auth/verify', asked), await page.post('/auth/verify/orders', asked)]) {
          expect(answer.status).toBe(status);
        }
      }
    });

    it('changes something only with the origin', async () => {
      const { page, account } = await signedIn(withAccessCookie);
      for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }]) {
        const refused = await page.post('/auth/logout-all', { origin: null, headers });
        expectProblem(refused, 'cross_site_request');
      }
      expect(await liveSessions(account)).toBe(1);
      const answer = await page.post('/auth/logout-all');
      expect([answer.status, cookiesOf(answer), await liveSessions(account)]).toEqual([204, REMOVED, 0]);
    });

    it('is not looked at beside any Authorization header', async () => {
      const { page } = await signedIn(withAccessCookie);
      for (const [authorization, code] of [
        ['Bearer x', 'access_token_invalid'],
        ['Basic eDp5', 'access_token_missing'],
        ['', 'access_token_missing'],
      ] as const) {
        expectProblem(await page.get('/auth/me', { headers: { authorization } }), code);
      }
      const { access_token } = await withAccessCookie.client.signIn(await service.client.signUp());
      const answer = await page.get('/auth/me', {
        origin: EVIL,
        headers: { authorization: `Bearer ${access_token}`, cookie: `${ACCESS}=x; ${ACCESS}=y` },
      });
      expect(answer.status).toBe(200);
    });

    it('twice is malformed, and a gateway hears 403', async () => {
      const { page } = await signedIn(withAccessCookie);
      const headers = { cookie: `${page.jar.header}; ${ACCESS}=x` };
      expectProblem(await page.get('/auth/me', { headers }), 'malformed_request');
      const answer = await page.get('/auth/verify', { headers });
      expect([answer.status, answer.headers['x-auth-error']]).toEqual([403, 'malformed_request']);
    });

    it('of an ended session is refused at once', async () => {
      const { page, account } = await signedIn(withAccessCookie);
      expect((await page.get('/auth/me')).status).toBe(200);
      const cookie = page.jar.header;
      await page.post('/auth/logout');
      expectProblem(await page.get('/auth/me', { headers: { cookie } }), 'access_token_revoked');
      expect(await liveSessions(account)).toBe(0);
    });

    it.each([
      ['that is empty', ''],
      ['that is no token', 'x'],
      ['that is a refresh token', 'rt1.x'],
    ])('%s is an invalid access token', async (_name, value) => {
      const answer = await new Page(withAccessCookie).get('/auth/me', { headers: { cookie: `${ACCESS}=${value}` } });
      expectProblem(answer, 'access_token_invalid');
    });

    it('is read by a backend with @ratchet/verifier, by the same rule and with the same problem', async () => {
      const { page } = await signedIn(withAccessCookie);
      const verifier = createVerifier({
        issuer: SETTINGS.JWT_ISSUER,
        audience: 'ratchet',
        baseUrl: withAccessCookie.url,
        revocations: 'off',
        cookieName: ACCESS,
        cookieOrigins: [APP],
      });
      try {
        await verifier.ready();
        const asking = (headers: Readonly<Record<string, string>>): Promise<AccessToken> =>
          verifier.verifyRequest(
            new Request(withAccessCookie.url, { headers: { cookie: page.jar.header, ...headers } }),
          );
        const { sessionId } = await asking({ origin: APP });
        expect(sessionId).toBe(claimsOf(page.jar.get(ACCESS)!)['sid']);
        const refused: unknown = await asking({ origin: EVIL }).catch((error: unknown) => error);
        const { status, headers, body } = toProblem(refused as VerificationError);
        const ofService = await page.get('/auth/me', { origin: EVIL });
        expect(ofService.body).toMatchObject(body);
        expect([ofService.status, ofService.headers['www-authenticate']]).toEqual([
          status,
          headers['www-authenticate'],
        ]);
      } finally {
        verifier.close();
      }
    });

    it('is not read without ACCESS_COOKIE=on', async () => {
      const { page } = await signedIn(withAccessCookie);
      const cookie = page.jar.header;
      expectProblem(await new Page(service).get('/auth/me', { headers: { cookie } }), 'access_token_missing');
    });

    it('of 8 KiB and the refresh cookie of 300 bytes stay within the headers that are read', async () => {
      const { page } = await signedIn(withAccessCookie);
      const cookie = `${REFRESH}=${'r'.repeat(300)}; ${ACCESS}=${'a'.repeat(8_192)}; theme=dark`;
      expectProblem(await page.get('/auth/me', { headers: { cookie } }), 'access_token_invalid');
    });
  });

  it('no error sets or removes a cookie: bad bodies, paths, methods and tokens, limits, and an outage', async () => {
    const { page, account } = await signedIn(behindProxy);
    const { jar } = page;
    const before = jar.header;
    const access = claimsOf(jar.get(ACCESS)!);
    const own = `/auth/sessions/${String(access['sid'])}`;
    const large = { refresh_token: 'x'.repeat(17_000) };
    const text = { headers: { 'content-type': 'text/plain' } };
    const passwords = { current_password: account.password, new_password: newPassword() };
    const statuses: number[] = [];
    const expectRefusals = async (sends: readonly (() => Promise<Response>)[]): Promise<void> => {
      for (const send of sends) {
        const answer = await send();
        statuses.push(answer.status);
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(jar.header).toBe(before);
      }
    };
    await expectRefusals([
      ...['/auth/login', '/auth/refresh', '/auth/logout', '/auth/password'].flatMap((path) => [
        () => page.post(path, { body: { unknown: true }, key: newIdempotencyKey() }),
        () => page.post(path, { body: large, key: newIdempotencyKey() }),
        () => page.post(path, { ...text, body: undefined, key: newIdempotencyKey(), origin: EVIL }),
        () => page.get(path),
      ]),
      () => page.post('/auth/unknown'),
      () => page.delete('/auth/sessions/00000000-0000-4000-8000-000000000000'),
      () => page.post('/auth/login', { body: { email: account.email, password: 'wrong' } }),
      () => page.post('/auth/password', { body: { ...passwords, current_password: 'wrong' } }),
      ...Array.from(
        { length: 20 },
        () => () => page.post('/auth/login', { body: { email: account.email, password: 'x' } }),
      ),
    ]);
    proxy.refuse();
    await expectRefusals([
      () => page.refresh(),
      () => page.login(account),
      () => page.post('/auth/logout'),
      () => page.post('/auth/logout-all'),
      () => page.post('/auth/password', { body: passwords }),
      () => page.delete(own),
    ]);
    expect([...new Set(statuses)].sort()).toEqual([400, 401, 403, 404, 405, 413, 429, 503]);
  });

  it('the document of the API describes the cookies where there are some', async () => {
    interface Operation {
      readonly security: readonly Readonly<Record<string, unknown>>[];
      readonly responses: Readonly<
        Record<
          string,
          {
            readonly description: string;
            readonly headers: Readonly<Record<string, object>>;
            readonly content?: Readonly<Record<string, { readonly schema: object }>>;
          }
        >
      >;
    }
    interface Document {
      readonly components: { readonly securitySchemes: object; readonly schemas: Readonly<Record<string, object>> };
      readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    }
    const documentOf = async ({ url }: Pick<TestService, 'url'>): Promise<Document> =>
      (await request(url).get('/openapi.json')).body as Document;
    const [plain, full] = [await documentOf(service), await documentOf(withAccessCookie)];
    expect(Object.keys(plain.components.securitySchemes)).toEqual(['access-token', 'refresh-cookie']);
    expect(full.components.securitySchemes).toMatchObject({
      'refresh-cookie': { type: 'apiKey', in: 'cookie', name: REFRESH },
      'access-cookie': { type: 'apiKey', in: 'cookie', name: ACCESS },
    });
    expect(full.components.schemas['CookieSessionDto']).toMatchObject({
      required: ['token_type', 'expires_in', 'refresh_expires_in'],
    });
    expect(plain.components.schemas['CookieSessionDto']).toMatchObject({
      required: ['access_token', 'token_type', 'expires_in', 'refresh_expires_in'],
    });
    const refresh = full.paths['/auth/refresh']!['post']!;
    expect(refresh.security).toEqual([{}, { 'refresh-cookie': [] }]);
    expect(refresh.responses['200']!.content?.['application/json']?.schema).toEqual({
      anyOf: [{ $ref: '#/components/schemas/TokenPairDto' }, { $ref: '#/components/schemas/CookieSessionDto' }],
    });
    expect(refresh.responses['403']!.description).toContain('`cross_site_request`');
    expect(full.paths['/auth/me']!['get']!.security).toEqual([{ 'access-token': [] }, { 'access-cookie': [] }]);
    expect(full.paths['/auth/passkeys/{id}']!['patch']!.security).toEqual([
      { 'access-token': [] },
      { 'access-cookie': [] },
    ]);
    expect(plain.paths['/auth/me']!['get']!.security).toEqual([{ 'access-token': [] }]);
    for (const [path, method, status] of [
      ['/auth/login', 'post', '200'],
      ['/auth/login/second-factor', 'post', '200'],
      ['/auth/login/passkey', 'post', '200'],
      ['/auth/step-up', 'post', '200'],
      ['/auth/refresh', 'post', '200'],
      ['/auth/password', 'post', '200'],
      ['/auth/logout', 'post', '204'],
      ['/auth/logout-all', 'post', '204'],
      ['/auth/sessions/{id}', 'delete', '204'],
    ] as const) {
      expect(full.paths[path]![method]!.responses[status]!.headers).toHaveProperty('Set-Cookie');
    }
    expect(full.paths['/auth/verify']!['get']!.responses['403']!.headers['X-Auth-Error']).toMatchObject({
      schema: { enum: ['insufficient_role', 'cross_site_request', 'malformed_request'] },
    });
  });

  describe('CORS', () => {
    it('lets a cookie origin send credentials, and lets it send the headers that it asks for', async () => {
      const asked = 'authorization,content-type,idempotency-key,traceparent';
      const preflight = await request(service.url).options('/auth/refresh').set({
        origin: APP,
        'access-control-request-method': 'POST',
        'access-control-request-headers': asked,
      });
      expect([preflight.status, preflight.headers]).toEqual([
        204,
        expect.objectContaining({
          'access-control-allow-origin': APP,
          'access-control-allow-credentials': 'true',
          'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
          'access-control-allow-headers': asked,
          vary: 'Origin, Access-Control-Request-Headers',
        }),
      ]);
      const answer = await new Page(service).get('/auth/me');
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': APP,
        'access-control-allow-credentials': 'true',
        vary: 'Origin',
      });
    });

    it('lets no other origin send credentials', async () => {
      const ofSpa = await new Page(service, SPA_IN_BODY_MODE).get('/auth/me');
      expect(ofSpa.headers['access-control-allow-origin']).toBe(SPA_IN_BODY_MODE);
      for (const origin of [SPA_IN_BODY_MODE, EVIL, 'null', null]) {
        const answer = await new Page(service, origin).get('/auth/me');
        expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
        expect(answer.headers['vary']).toBe('Origin');
      }
    });
  });
});
