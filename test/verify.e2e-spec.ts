import { METHODS } from 'node:http';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { DatabaseClock } from '../src/platform/database/database-clock.js';
import { UsersService } from '../src/users/users.service.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { type RawAnswer, sendRaw } from './support/raw-request.js';
import { recordStatements } from './support/statement-log.js';
import { type Account, claimsOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { TokenForge } from './support/token-forge.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

/** CONNECT never reaches a request handler; a proxy that forwards one is not a gateway of HTTP requests. */
const ALL_METHODS = METHODS.filter((method) => method !== 'CONNECT');

const HOSTILE_PATHS = [
  '',
  '/',
  '/orders/1?access_token=x&x-require-role=admin',
  '?rd=/auth/me',
  '/../me',
  '/..%2fme',
  '/%2e%2e/%2e%2e/etc/passwd',
  '//evil.example/',
  '/a;jsessionid=1;b=/..',
  '/%zz/%',
  '/%00',
  '/%c0%ae%c0%ae/',
  '/\\..\\',
  '/auth/verify/auth/verify',
  `/${'a'.repeat(8192)}`,
  `/${'%41'.repeat(2730)}`,
  `/${'a/'.repeat(4000)}`,
];

/** @param headers as they stand on the wire */
function askVerify(
  service: TestService,
  method: string,
  path: string,
  headers: readonly string[],
  body?: string,
): Promise<RawAnswer> {
  const pairs = headers.map((line) => {
    const [name = '', ...value] = line.split(': ');
    return [name, value.join(': ')] as const;
  });
  return sendRaw(service.url, {
    method,
    path: `/auth/verify${path}`,
    headers: pairs,
    ...(body !== undefined && { body }),
  });
}

describe('/auth/verify', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { CORS_ORIGINS: 'https://app.example.com' });
  let account: Account;
  let pair: TokenPair;

  beforeAll(async () => {
    account = await service.client.signUp();
    await service.app.get(UsersService, { strict: false }).setRoles(account.id, ['admin', 'billing:read']);
    pair = await service.client.signIn(account);
  });

  const ask = (
    { method = 'GET', path = '', body }: { method?: string; path?: string; body?: string | undefined },
    headers: readonly string[] = [`Authorization: Bearer ${pair.access_token}`],
  ): Promise<RawAnswer> => askVerify(service, method, path, headers, body);

  function identity(): Record<string, string> {
    const { sub, sid, jti, exp, auth_time } = claimsOf(pair.access_token);
    return {
      'x-user-id': String(sub),
      'x-user-roles': 'admin,billing:read',
      'x-user-scope': 'admin billing:read',
      'x-session-id': String(sid),
      'x-token-id': String(jti),
      'x-token-expires-at': String(exp),
      'x-auth-acr': 'aal1',
      'x-auth-amr': 'pwd',
      'x-auth-time': String(auth_time),
    };
  }

  it('answers a good token with 200, no body, and every identity header', async () => {
    const answer = await ask({});
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers).toMatchObject({ ...identity(), 'cache-control': 'no-store', 'content-length': '0' });
    expect(answer.headers).not.toHaveProperty('content-type');
  });

  it.each([
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/json, text/plain, */*',
    'text/html,application/json;q=0.9',
  ])('answers a good token with the identity as JSON as well when asked for it: Accept: %s', async (accept) => {
    const { sub, sid, exp, auth_time } = claimsOf(pair.access_token);
    const headers = [`Authorization: Bearer ${pair.access_token}`, `Accept: ${accept}`];
    const answer = await ask({}, headers);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      sub,
      sid,
      roles: ['admin', 'billing:read'],
      scope: 'admin billing:read',
      exp,
      auth_time,
      acr: 'aal1',
      amr: ['pwd'],
    });
    expect(answer.headers).toMatchObject({ ...identity(), 'content-type': 'application/json; charset=utf-8' });
    expect(await ask({ method: 'HEAD' }, headers)).toMatchObject({ status: 200, text: '' });
  });

  it('answers with an empty list and an empty scope as JSON when there are no roles', async () => {
    const plain = await service.client.signUpAndIn();
    const answer = await ask({}, [`Authorization: Bearer ${plain.pair.access_token}`, 'Accept: application/json']);
    const { sid, exp, auth_time } = claimsOf(plain.pair.access_token);
    const proof = { auth_time, acr: 'aal1', amr: ['pwd'] };
    expect(answer.body).toEqual({ sub: plain.id, sid, roles: [], scope: '', exp, ...proof });
  });

  it.each([
    '*/*',
    'application/*',
    'text/html',
    'application/json5',
    'application/problem+json',
    'xapplication/json',
    '',
  ])('answers byte for byte as without it when Accept does not name JSON: %j', async (accept) => {
    const comparable = ({ status, text, headers }: RawAnswer): object => ({
      status,
      text,
      headers: { ...headers, date: '', 'x-request-id': '' },
    });
    for (const credential of [[`Authorization: Bearer ${pair.access_token}`], []]) {
      const answer = await ask({}, [...credential, `Accept: ${accept}`]);
      expect(answer.text).toBe('');
      expect(comparable(answer)).toEqual(comparable(await ask({}, credential)));
    }
  });

  it.each([
    ['no token', [], 'access_token_missing'],
    ['rubbish', ['Authorization: Bearer rubbish'], 'access_token_invalid'],
  ] as const)('answers %s with a problem as the body when asked for JSON', async (_what, headers, code) => {
    const answer = await ask({}, [...headers, 'Accept: application/json']);
    expectProblem(answer, code);
    expect(answer.headers['x-auth-error']).toBe(code);
  });

  it('answers a missing role with a problem as the body when asked for JSON', async () => {
    const bearer = `Authorization: Bearer ${pair.access_token}`;
    expectProblem(await ask({}, [bearer, 'X-Require-Role: owner', 'Accept: application/json']), 'insufficient_role');
  });

  it('sends the headers of roles empty when there are none', async () => {
    const plain = await service.client.signUpAndIn();
    const { status, headers } = await ask({}, [`Authorization: Bearer ${plain.pair.access_token}`]);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'x-user-id': plain.id, 'x-user-roles': '', 'x-user-scope': '' });
  });

  it('answers within the 4 KiB of headers that gateways reserve, whatever roles are given', async () => {
    const longest = await service.client.signUp();
    const roles = Array.from({ length: 32 }, (_, index) => String(index).padStart(31, 'r'));
    await service.app.get(UsersService, { strict: false }).setRoles(longest.id, [...roles.slice(1), 'r'.repeat(32)]);
    const { access_token: token } = await service.client.signIn(longest);
    // RS256 signs with 256 characters more.
    expect(token.length + 256).toBeLessThan(4_096);
    const { status, headers } = await ask({}, [`Authorization: Bearer ${token}`]);
    expect([status, headers['x-user-scope']?.length]).toEqual([200, 1_024]);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    expect(lines.join('').length).toBeLessThan(4_000);
  });

  it.each([
    ['no token', [], 401, 'access_token_missing'],
    ['another scheme', ['Authorization: Basic dXNlcjpwYXNz'], 401, 'access_token_missing'],
    ['rubbish', ['Authorization: Bearer rubbish'], 401, 'access_token_invalid'],
    ['two tokens', ['Authorization: Bearer a', 'Authorization: Bearer b'], 401, 'access_token_invalid'],
  ])('answers %s with an empty denial that names its reason in a header', async (_what, headers, status, code) => {
    const answer = await ask({}, headers);
    expect(answer).toMatchObject({ status, text: '' });
    expect(answer.headers).toMatchObject({
      'x-auth-error': code,
      'cache-control': 'no-store',
      'content-length': '0',
      'www-authenticate': expect.stringMatching(/^Bearer /),
    });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('x-user'))).toEqual([]);
  });

  it('takes no refresh token for an access token', async () => {
    const answer = await ask({}, [`Authorization: Bearer ${pair.refresh_token}`]);
    expect([answer.status, answer.headers['x-auth-error']]).toEqual([401, 'access_token_invalid']);
  });

  it.each(ALL_METHODS)('decides alike for %s, with and without a token', async (method) => {
    const statuses = [(await ask({ method })).status, (await ask({ method }, [])).status];
    expect(statuses).toEqual([200, 401]);
  });

  it.each(HOSTILE_PATHS.map((path) => [path.slice(0, 60), path]))(
    'decides alike below it: %j',
    async (_shown, path) => {
      const [granted, denied] = [await ask({ path }), await ask({ path }, [])];
      expect([granted.status, denied.status]).toEqual([200, 401]);
      expect(granted.headers).toMatchObject(identity());
    },
  );

  it.each([
    ['an empty JSON body', ['Content-Type: application/json'], ''],
    ['broken JSON', ['Content-Type: application/json'], '{"a":'],
    ['a form', ['Content-Type: application/x-www-form-urlencoded'], 'a=1&a=2'],
    ['XML', ['Content-Type: text/xml'], '<a/>'],
    ['multipart', ['Content-Type: multipart/form-data; boundary=x'], '--x--'],
    ['a type of rubbish', ['Content-Type: ;;;'], 'x'],
    ['a body of 1 MiB', ['Content-Type: application/json'], 'x'.repeat(1 << 20)],
    ['a content coding', ['Content-Type: application/json', 'Content-Encoding: gzip'], 'x'],
  ])('reads no body: %s', async (_what, headers, body) => {
    const answer = await ask({ method: 'POST', body }, [`Authorization: Bearer ${pair.access_token}`, ...headers]);
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect((await ask({ method: 'POST', body }, headers)).status).toBe(401);
  });

  it.each([
    ['admin', 200],
    ['admin, billing:read', 200],
    ['owner|admin', 200],
    ['owner', 403],
    ['admin,owner', 403],
    ['', 403],
    ['Admin', 403],
  ])('X-Require-Role: %j → %d', async (role, status) => {
    const answer = await ask({}, [`Authorization: Bearer ${pair.access_token}`, `X-Require-Role: ${role}`]);
    expect(answer).toMatchObject({ status, text: '' });
    expect(answer.headers['x-auth-error']).toBe(status === 200 ? undefined : 'insufficient_role');
  });

  it('takes a client’s X-Require-Role in front of the gateway’s as one more demand', async () => {
    const bearer = `Authorization: Bearer ${pair.access_token}`;
    expect((await ask({}, [bearer, 'X-Require-Role: admin', 'X-Require-Role: owner'])).status).toBe(403);
    expect((await ask({}, [bearer, 'X-Require-Role: owner', 'X-Require-Role: admin'])).status).toBe(403);
    expect((await ask({}, [bearer, 'X-Require-Role: billing:read', 'X-Require-Role: admin'])).status).toBe(200);
  });

  describe('with a demand on how the user signed in', () => {
    const AS_JSON = 'Accept: application/json';

    async function signInBy(amr: readonly string[], secondsAgo = 0): Promise<string> {
      const opened = await service.client.signIn(account);
      await database.sql(
        'update refresh_token_families set amr = $2, auth_time = clock_timestamp() - make_interval(secs => $3) where id = $1',
        [sessionIdOf(opened), amr, secondsAgo],
      );
      return (await service.client.rotate(opened.refresh_token)).access_token;
    }

    const demand = (token: string, ...headers: string[]): Promise<RawAnswer> =>
      ask({}, [`Authorization: Bearer ${token}`, ...headers]);

    it('tells the backend what the session has proved', async () => {
      const { status, headers } = await demand(await signInBy(['pwd', 'otp', 'mfa'], 100));
      expect(status).toBe(200);
      expect(headers).toMatchObject({ 'x-auth-acr': 'aal2', 'x-auth-amr': 'pwd,otp,mfa' });
    });

    it.each([
      [['pwd'], 'aal1', 200],
      [['pwd'], 'aal2', 401],
      [['pwd', 'otp', 'mfa'], 'aal2', 200],
      [['pwd', 'otp', 'mfa'], 'phr', 401],
      [['pwd', 'pop', 'mfa'], 'phr', 401],
      [['pop', 'user', 'mfa'], 'aal2', 200],
      [['pop', 'user', 'mfa'], 'phr', 200],
    ])('a session by %j against X-Require-Acr: %s → %d', async (amr, acr, status) => {
      const answer = await demand(await signInBy(amr), `X-Require-Acr: ${acr}`, AS_JSON);
      expect(answer.status).toBe(status);
      expect(answer.headers['x-auth-error']).toBe(status === 200 ? undefined : 'insufficient_user_authentication');
      if (status !== 200) {
        expectStepUpDemand(answer, { acr });
        expect(answer.headers).not.toHaveProperty('x-user-id');
      }
    });

    it('names both demands in the challenge, whichever is not met, and has no body unless asked for one', async () => {
      const [weak, old] = [await signInBy(['pwd']), await signInBy(['pwd', 'otp', 'mfa'], 301)];
      for (const token of [weak, old]) {
        const headers = ['X-Require-Acr: aal2', 'X-Require-Max-Age: 300'];
        expectStepUpDemand(await demand(token, ...headers, AS_JSON), { acr: 'aal2', maxAge: 300 });
        const plain = await demand(token, ...headers);
        expect(plain).toMatchObject({ status: 401, text: '' });
        expect(plain.headers['www-authenticate']).toMatch(/, acr_values="aal2", max_age=300$/);
      }
    });

    it('judges the age with every request, by the database’s time, also of a token that it has verified', async () => {
      const token = await signInBy(['pwd'], 30);
      expect((await demand(token, 'X-Require-Max-Age: 60')).status).toBe(200);
      const clock = service.app.get(DatabaseClock);
      const nowSeconds = clock.nowSeconds();
      const moved = vi.spyOn(clock, 'nowSeconds').mockReturnValue(nowSeconds + 31);
      const answers = [await demand(token), await demand(token, 'X-Require-Max-Age: 60', AS_JSON)];
      moved.mockRestore();
      expect(answers.map(({ status }) => status)).toEqual([200, 401]);
      expectStepUpDemand(answers[1]!, { maxAge: 60 });
    });

    it('refuses a refresh as a way to a younger sign-in', async () => {
      const opened = await service.client.signIn(account);
      await database.sql(`update refresh_token_families set auth_time = now() - interval '61 s' where id = $1`, [
        sessionIdOf(opened),
      ]);
      let rotated = await service.client.rotate(opened.refresh_token);
      rotated = await service.client.rotate(rotated.refresh_token);
      expect((await demand(rotated.access_token, 'X-Require-Max-Age: 60')).status).toBe(401);
    });

    it('lets no token pass any demand that does not tell what was proved, or when', async () => {
      const forge = await TokenForge.like(pair.access_token, database);
      for (const claims of [
        { auth_time: undefined, acr: undefined, amr: undefined },
        { auth_time: undefined, acr: 'phr' },
      ]) {
        const token = forge.withClaims(claims);
        expect((await demand(token)).status).toBe(200);
        expect((await demand(token, 'X-Require-Acr: aal1')).status).toBe(401);
        expect((await demand(token, 'X-Require-Max-Age: 999999999')).status).toBe(401);
      }
      expect((await demand(forge.withClaims({ acr: 'aal3' }), 'X-Require-Acr: aal1')).status).toBe(401);
      expect((await demand(forge.withClaims({ acr: undefined }), 'X-Require-Acr: aal2')).status).toBe(401);
    });

    it('takes a client’s own demand as one more, before and behind the gateway’s', async () => {
      const token = await signInBy(['pwd', 'otp', 'mfa'], 30);
      const lines = ['X-Require-Acr: aal2', 'X-Require-Max-Age: 60'];
      for (const own of ['X-Require-Acr: aal1', 'X-Require-Max-Age: 9999']) {
        expect((await demand(token, own, ...lines)).status).toBe(200);
        expect((await demand(token, ...lines, own)).status).toBe(200);
      }
      for (const own of ['X-Require-Acr: phr', 'X-Require-Max-Age: 10', 'X-Require-Acr: ', 'X-Require-Max-Age: x']) {
        expect((await demand(token, own, ...lines)).status).toBe(401);
        expect((await demand(token, ...lines, own)).status).toBe(401);
      }
    });

    it.each([
      'X-Require-Acr: aal3',
      'X-Require-Acr: AAL1',
      'X-Require-Acr: ',
      'X-Require-Max-Age: 5m',
      'X-Require-Max-Age: 0',
    ])('denies bad syntax, and asks no user for what none can do: %s', async (line) => {
      expectStepUpDemand(await demand(await signInBy(['pop', 'user', 'mfa']), line, AS_JSON), {});
    });

    it('names the missing role first, which no step-up brings', async () => {
      const answer = await demand(pair.access_token, 'X-Require-Role: owner', 'X-Require-Acr: aal2', AS_JSON);
      expectProblem(answer, 'insufficient_role');
    });
  });

  it('is swayed by no forwarding header, and by no preflight of an allowed origin', async () => {
    const forwarding = [
      'X-Forwarded-Method: OPTIONS',
      'X-Forwarded-Uri: /%zz',
      'X-Forwarded-For: rubbish, ::::, 1.2.3.4',
      'X-Forwarded-Host: ',
      'X-Original-URL: http://[bad',
      'X-Original-Method: \u00ff',
      'Forwarded: for=""',
    ];
    expect((await ask({}, forwarding)).status).toBe(401);
    expect((await ask({}, [`Authorization: Bearer ${pair.access_token}`, ...forwarding])).status).toBe(200);
    const preflight = ['Origin: https://app.example.com', 'Access-Control-Request-Method: GET'];
    expect((await ask({ method: 'OPTIONS' }, preflight)).status).toBe(401);
  });

  it('costs no query', async () => {
    const statements = recordStatements(proxy);
    const bearer = `Authorization: Bearer ${pair.access_token}`;
    const demands = ['X-Require-Acr: aal1', 'X-Require-Max-Age: 9999'];
    await Promise.all([ask({}), ask({}, []), ask({}, ['Authorization: Bearer x']), ask({}, [bearer, ...demands])]);
    expect(statements).toEqual([]);
  });

  it('refuses the token of a session that has ended, at once', async () => {
    const other = await service.client.signIn(account);
    const headers = [`Authorization: Bearer ${other.access_token}`];
    expect((await ask({}, headers)).status).toBe(200);
    expect((await service.client.logout({ refreshToken: other.refresh_token })).status).toBe(204);
    const answer = await ask({}, headers);
    expect([answer.status, answer.headers['x-auth-error']]).toEqual([401, 'access_token_revoked']);
  });

  it('refuses the token of a disabled user', async () => {
    const user = await service.client.signUpAndIn();
    await service.app.get(AccountsService, { strict: false }).disable(user.id);
    expect((await ask({}, [`Authorization: Bearer ${user.pair.access_token}`])).status).toBe(401);
  });
});

describe('/auth/verify of an instance that cannot tell', () => {
  it('answers 503 and when to come back, without a body', async () => {
    const database = await createTestDatabase();
    const proxy = await PostgresProxy.start(database.url);
    const service = await startService({ url: proxy.url }, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
    try {
      const { pair } = await service.client.signUpAndIn();
      const headers = [`Authorization: Bearer ${pair.access_token}`];
      proxy.refuse();
      let answer = await askVerify(service, 'GET', '', headers);
      const giveUpAtMs = performance.now() + 10_000;
      while (answer.status === 200 && performance.now() < giveUpAtMs) {
        answer = await askVerify(service, 'GET', '', headers);
      }
      expect(answer).toMatchObject({ status: 503, text: '' });
      expect(answer.headers).toMatchObject({ 'x-auth-error': 'temporarily_unavailable', 'retry-after': '1' });
      const asJson = await askVerify(service, 'GET', '', [...headers, 'Accept: application/json']);
      expect(asJson).toMatchObject({ status: 503, body: { status: 503, code: 'temporarily_unavailable' } });
      expect((await askVerify(service, 'GET', '', [])).status).toBe(401);
    } finally {
      await service.stop();
      await proxy.close();
      await database.close();
    }
  });
});
