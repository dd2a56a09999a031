import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Client } from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createVerifier, type Verifier } from '@ratchet/verifier';
import type {
  ClockAnswer,
  FaultAnswer,
  KeyAnswer,
  NamespaceAnswer,
  OutboxAnswer,
  RequestsAnswer,
  TokenAnswer,
  TokenBody,
  TokenPairAnswer,
  UserAnswer,
} from '../packages/testing/src/contract.js';
import type * as NamespacesModule from '../packages/testing/src/runner/namespaces.mjs';
import { eventually } from './support/eventually.js';
import { claimsOf, codeOf, newIdempotencyKey, sessionIdOf, TestClient } from './support/test-client.js';
import { useRunner } from './support/test-kit.js';
import { testRun } from './support/test-run.js';
import { headerOf } from './support/token-forge.js';

const DAY_SECONDS = 86_400;

describe('the runner of the test kit', () => {
  const kit = useRunner();
  let ns: NamespaceAnswer;
  let client: TestClient;
  let database: Client;
  const verifiers: Verifier[] = [];

  beforeAll(async () => {
    const before = await listDatabases();
    ns = await kit.runner.must('PUT', '/n1', { config: { ACCESS_TOKEN_TTL_SECONDS: '60', RATE_LIMITS: 'on' } });
    client = new TestClient(ns.url);
    const [name = ''] = (await listDatabases()).filter((each) => !before.includes(each));
    database = new Client({ connectionString: urlOf(name) });
    database.on('error', () => undefined);
    await database.connect();
  });

  beforeEach(() => kit.runner.must('POST', '/n1/reset'));

  afterEach(() => {
    verifiers.splice(0).forEach((verifier) => {
      verifier.close();
    });
  });

  async function listDatabases(): Promise<readonly string[]> {
    const server = new Client({ connectionString: testRun().serverUrl });
    await server.connect();
    const { rows } = await server.query<{ datname: string }>('select datname from pg_database');
    await server.end();
    return rows.map(({ datname }) => datname);
  }

  function urlOf(name: string): string {
    const url = new URL(testRun().serverUrl);
    url.pathname = `/${name}`;
    return url.href;
  }

  async function makeUser(request: object = {}): Promise<UserAnswer> {
    const [user] = await kit.runner.must<readonly UserAnswer[]>('POST', '/n1/users', [request]);
    return user!;
  }

  async function mint(request: TokenBody): Promise<string> {
    return (await kit.runner.must<TokenAnswer>('POST', '/n1/tokens', request)).access_token;
  }

  function setClock(change: object): Promise<ClockAnswer> {
    return kit.runner.must('PUT', '/n1/clock', change);
  }

  function fault(description: object): Promise<FaultAnswer> {
    return kit.runner.must('POST', '/n1/faults', description);
  }

  function hitsOf({ id }: FaultAnswer): Promise<number> {
    return kit.runner.must<FaultAnswer>('GET', `/n1/faults/${id}`).then(({ hits }) => hits);
  }

  async function startVerifier(now?: () => Date): Promise<Verifier> {
    const { issuer, audience, url } = ns;
    const verifier = createVerifier({
      issuer,
      audience,
      baseUrl: url,
      revocations: 'follow',
      whenFeedIsStale: 'reject',
      ...(now !== undefined && { now }),
    });
    verifiers.push(verifier);
    await verifier.ready({ withinSeconds: 5 });
    return verifier;
  }

  async function judge(verifier: Verifier, token: string): Promise<string> {
    try {
      await verifier.verify(token);
      return 'good';
    } catch (error) {
      return (error as { readonly code: string }).code;
    }
  }

  /** `good`, or the code that forward-auth answers with. */
  async function verify(token: string): Promise<string> {
    const headers = { accept: 'application/json', authorization: `Bearer ${token}` };
    const answer = await fetch(`${ns.url}/auth/verify`, { headers });
    return answer.ok ? 'good' : codeOf({ body: await answer.json() });
  }

  async function publishedKids(): Promise<readonly string[]> {
    const { body } = await client.get('/.well-known/jwks.json');
    return (body as { readonly keys: readonly { readonly kid: string }[] }).keys.map(({ kid }) => kid);
  }

  it('serves cookies in a namespace that is configured for them', async () => {
    const origin = 'http://localhost:5173';
    const config = { COOKIE_ORIGINS: origin, ACCESS_COOKIE: 'on', JWT_ISSUER: 'http://localhost:4010' };
    const { url } = await kit.runner.must<NamespaceAnswer>('PUT', '/cookies', { config });
    const [user] = await kit.runner.must<readonly UserAnswer[]>('POST', '/cookies/users', [{}]);
    const { email, password } = user!;
    const answer = await new TestClient(url).post('/auth/login', { email, password }, { origin });
    expect(answer.body).not.toHaveProperty('refresh_token');
    expect(answer.headers['set-cookie']).toEqual([
      expect.stringMatching(/^ratchet-refresh=rt1\./) as string,
      expect.stringMatching(/^ratchet-access=eyJ/) as string,
    ]);
  });

  describe('for users', () => {
    it('makes those that sign in by their passwords, with their roles', async () => {
      const user = await makeUser({ roles: ['admin'], email: 'Ada@Example.com' });
      expect(user).toMatchObject({ email: 'ada@example.com', roles: ['admin'], status: 'active' });
      const pair = await client.signIn(user);
      expect(claimsOf(pair.access_token)).toMatchObject({ sub: user.id, iss: ns.issuer, roles: ['admin'] });
    });

    it('makes a thousand at once, and each signs in', async () => {
      const users = await kit.runner.must<readonly UserAnswer[]>('POST', '/n1/users', Array(1_000).fill({}));
      expect(new Set(users.map(({ email }) => email)).size).toBe(1_000);
      await client.signIn(users[999]!);
    });

    it('makes disabled ones, and any password', async () => {
      const user = await makeUser({ status: 'disabled', password: 'x' });
      expect(codeOf(await client.login({ email: user.email, password: 'x' }))).toBe('account_disabled');
    });

    it('makes none of a list in which one e-mail is taken', async () => {
      await makeUser({ email: 'ada@example.com' });
      const answer = await kit.runner.call('POST', '/n1/users', [
        { email: 'bob@example.com' },
        { email: 'ada@example.com' },
      ]);
      expect(answer).toMatchObject({ status: 409, body: { code: 'email_taken' } });
      await makeUser({ email: 'bob@example.com' });
    });
  });

  describe('for access tokens', () => {
    it('mints one that differs from that of a login in nothing but values', async () => {
      const user = await makeUser({ roles: ['admin'] });
      const { access_token: signedIn } = await client.signIn(user);
      const minted = await mint({ user_id: user.id });
      expect(headerOf(minted)).toEqual(headerOf(signedIn));
      const [one, other] = [claimsOf(minted), claimsOf(signedIn)];
      expect(Object.keys(one)).toEqual(Object.keys(other));
      const values = {
        sid: expect.any(String),
        jti: expect.any(String),
        iat: expect.any(Number),
        exp: expect.any(Number),
        auth_time: expect.any(Number),
      };
      expect(one).toEqual({ ...other, ...values });
      expect((await client.me(minted)).body).toMatchObject({ id: user.id });
    });

    it.each<[string, TokenBody]>([
      ['good', {}],
      ['good', { roles: ['admin'], claims: { own: 1 } }],
      ['access_token_expired', { expired: true }],
      ['access_token_revoked', { session: 'ended' }],
      ['access_token_invalid', { signature: 'broken' }],
      ['access_token_invalid', { signature: 'none' }],
      ['access_token_invalid', { signature: 'unknown-key' }],
      ['access_token_invalid', { typ: 'JWT' }],
      ['access_token_invalid', { kid: 'another' }],
      ['access_token_invalid', { claims: { aud: 'another' } }],
      ['access_token_invalid', { claims: { iss: 'https://another.example' } }],
      ['access_token_invalid', { omit: ['exp'] }],
      ['access_token_invalid', { omit: ['sub'] }],
      ['access_token_invalid', { claims: { exp: Math.floor(Date.now() / 1_000) + 7_200 } }],
    ])('gets %s from the service and from the verifier for %j', async (verdict, request) => {
      const token = await mint(request);
      const verifier = await startVerifier();
      expect([await verify(token), await judge(verifier, token)]).toEqual([verdict, verdict]);
    });

    it('refuses to mint one for a user that the namespace does not have', async () => {
      const answer = await kit.runner.call('POST', '/n1/tokens', { user_id: '00000000-0000-4000-8000-000000000000' });
      expect(answer).toMatchObject({ status: 404, body: { code: 'user_unknown' } });
    });
  });

  describe('for sessions', () => {
    it.each([
      ['live', 1, 'good', 'good'],
      ['live', 7, 'good', 'good'],
      ['ended', 1, 'session_revoked', 'access_token_revoked'],
      ['reused', undefined, 'refresh_token_reused', 'access_token_revoked'],
      ['expired', 1, 'session_expired', 'access_token_expired'],
      ['idle_expired', 3, 'session_expired', 'access_token_expired'],
    ])('makes one that is %s at generation %s', async (state, generation, refreshed, verified) => {
      const pair = await kit.runner.must<TokenPairAnswer>('POST', '/n1/sessions', {
        state,
        ...(generation !== undefined && { generation }),
      });
      expect(await verify(pair.access_token)).toBe(verified);
      const answer = await client.refresh(pair.refresh_token);
      expect(answer.status === 200 ? 'good' : codeOf(answer)).toBe(refreshed);
      const { rows } = await database.query('select generation from refresh_token_families');
      expect(rows).toEqual([{ generation: (generation ?? 2) + (state === 'live' ? 1 : 0) }]);
    });

    it('refuses a state that cannot be', async () => {
      const answers = [
        await kit.runner.call('POST', '/n1/sessions', { state: 'reused', generation: 1 }),
        await kit.runner.call('POST', '/n1/sessions', { state: 'asleep' }),
      ];
      expect(answers.map(({ status, body }) => [status, codeOf({ body })])).toEqual([
        [400, 'validation_failed'],
        [400, 'validation_failed'],
      ]);
    });
  });

  describe('for the clock', () => {
    it('passes the life of an access token, and comes back to the real time', async () => {
      const user = await makeUser();
      // Otherwise the last second of the token may pass by itself.
      await setClock({ frozen: true });
      const { access_token: token } = await client.signIn(user);
      await setClock({ advance_seconds: 59 });
      expect(await verify(token)).toBe('good');
      await setClock({ advance_seconds: 1 });
      expect(await verify(token)).toBe('access_token_expired');
      const { now, frozen } = await setClock({});
      expect([Math.abs(Date.parse(now) - Date.now()) < 5_000, frozen]).toEqual([true, false]);
      expect(await verify(token)).toBe('good');
    });

    it('passes the idle limit, the absolute end and the deletion of a session', async () => {
      const user = await makeUser();
      const idle = await client.signIn(user);
      let used = await client.signIn(user);
      for (const days of [13, 13, 3]) {
        await setClock({ advance_seconds: days * DAY_SECONDS });
        used = await client.rotate(used.refresh_token);
      }
      expect(codeOf(await client.refresh(idle.refresh_token))).toBe('session_expired');
      await setClock({ advance_seconds: DAY_SECONDS });
      expect(codeOf(await client.refresh(used.refresh_token))).toBe('session_expired');
      expect((await database.query('select from refresh_token_families')).rowCount).toBe(2);
      await setClock({ advance_seconds: 3_721 });
      expect((await database.query('select from refresh_token_families')).rowCount).toBe(0);
    });

    it('stands still: tokens are issued at that instant, and guard, forward-auth and verifier judge by it', async () => {
      // 17 times the age of a key and most of another: no key waits to take over when the clock is real again.
      const start = Math.floor(Date.now() / 1_000) + 1_600 * DAY_SECONDS;
      const [at, aMinuteLater] = [start, start + 60].map((seconds) => new Date(seconds * 1_000).toISOString());
      expect(await setClock({ at, frozen: true })).toEqual({ now: at, frozen: true });
      const user = await makeUser();
      const { access_token: token } = await client.signIn(user);
      expect(claimsOf(token)['iat']).toBe(start);
      const verifier = await startVerifier(() => new Date(start * 1_000));
      expect([(await client.me(token)).status, await verify(token), await judge(verifier, token)]).toEqual([
        200,
        'good',
        'good',
      ]);
      expect((await client.me(token)).body).toMatchObject({ created_at: at });
      await setClock({ advance_seconds: 60 });
      expect([codeOf(await client.me(token)), await verify(token)]).toEqual(Array(2).fill('access_token_expired'));
      expect(await kit.runner.must('GET', '/n1/clock')).toEqual({ now: aMinuteLater, frozen: true });
      expect(await setClock({ frozen: false })).toMatchObject({ frozen: false });
    });

    it('rotates the signing keys on the way, each published before it signs, as often as it passes their age', async () => {
      for (const round of ['first', 'second']) {
        const user = await makeUser();
        const kid = async (): Promise<unknown> => headerOf((await client.signIn(user)).access_token)['kid'];
        const original = await kid();
        const { access_token: old } = await client.signIn(user);
        await setClock({ advance_seconds: 89 * DAY_SECONDS });
        const waiting = (await publishedKids()).at(-1);
        expect([round, waiting === original, await kid()]).toEqual([round, false, original]);
        await setClock({ advance_seconds: 2 * DAY_SECONDS });
        expect([round, await kid()]).toEqual([round, waiting]);
        await setClock({});
        // The key of before verifies what it has signed.
        expect([round, await verify(old), await kid()]).toEqual([round, 'good', waiting]);
        await kit.runner.must('POST', '/n1/reset');
      }
    });

    it('rotates them in one leap as in several, and the old key is gone in the end', async () => {
      const user = await makeUser();
      const before = await publishedKids();
      await setClock({ advance_seconds: 91 * DAY_SECONDS });
      const { access_token: token } = await client.signIn(user);
      expect(before).not.toContain(headerOf(token)['kid']);
      expect(await publishedKids()).toContain(headerOf(token)['kid']);
      await setClock({ advance_seconds: 2 * DAY_SECONDS });
      expect((await publishedKids()).filter((kid) => before.includes(kid))).toEqual([]);
    });

    it('belongs to one namespace', async () => {
      await setClock({ advance_seconds: DAY_SECONDS });
      const { now } = await kit.runner.must<ClockAnswer>('GET', '/main/clock');
      expect(Math.abs(Date.parse(now) - Date.now())).toBeLessThan(5_000);
    });

    it('refuses to be more than ten years away from the real one', async () => {
      const answer = await kit.runner.call('PUT', '/n1/clock', { at: '2099-01-01T00:00:00Z' });
      expect(answer).toMatchObject({ status: 400, body: { code: 'validation_failed' } });
    });
  });

  describe('for signing keys', () => {
    it('lets another one sign at once by force, as often as a test likes', async () => {
      const user = await makeUser();
      const { access_token: old } = await client.signIn(user);
      const { kid, status } = await kit.runner.must<KeyAnswer>('POST', '/n1/keys/rotate', { force: true });
      expect([status, headerOf((await client.signIn(user)).access_token)['kid'], await verify(old)]).toEqual([
        'active',
        kid,
        'good',
      ]);
      for (let round = 0; round < 10; round += 1) {
        await kit.runner.must('POST', '/n1/keys/rotate', { force: true });
      }
      expect(await publishedKids()).toHaveLength(10);
    });

    it('publishes one without force, and says what is too early', async () => {
      await setClock({ advance_seconds: 3 * DAY_SECONDS });
      const { kid, status } = await kit.runner.must<KeyAnswer>('POST', '/n1/keys/rotate', {});
      expect([status, (await publishedKids()).includes(kid)]).toEqual(['next', true]);
      const answer = await kit.runner.call('POST', '/n1/keys/rotate');
      expect(answer).toMatchObject({ status: 409, body: { code: 'key_too_early' } });
      await setClock({ advance_seconds: 2 * DAY_SECONDS });
      expect(await kit.runner.call('POST', '/n1/keys/rotate')).toMatchObject({ status: 200 });
    });

    it('marks each published one as of a test kit, for verifiers in production', async () => {
      const { body, headers } = await client.get('/.well-known/jwks.json');
      const { keys } = body as { readonly keys: readonly Record<string, unknown>[] };
      expect(keys.map((key) => key['ratchet_test'])).toEqual(keys.map(() => true));
      const etag = (headers as Record<string, string>)['etag']!;
      expect((await fetch(`${ns.url}/.well-known/jwks.json`, { headers: { 'if-none-match': etag } })).status).toBe(304);
    });
  });

  describe('for faults', () => {
    it('loses the answer of a refresh that was done: the retry with the key gets it, one without ends the session', async () => {
      const user = await makeUser();
      const [one, other] = [await client.signIn(user), await client.signIn(user)];
      const lost = await fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 2 });
      const key = newIdempotencyKey();
      await expect(client.refresh(one.refresh_token, key)).rejects.toThrow(/hang up|ECONNRESET/);
      await expect(client.refresh(other.refresh_token)).rejects.toThrow(/hang up|ECONNRESET/);
      expect(await hitsOf(lost)).toBe(2);
      const retried = await client.rotate(one.refresh_token, key);
      const again = await client.refresh(one.refresh_token, key);
      expect(again.body).toMatchObject({ refresh_token: retried.refresh_token });
      expect(codeOf(await client.refresh(other.refresh_token))).toBe('refresh_token_reused');
    });

    it('cuts a request before the service gets it: nothing is done', async () => {
      const pair = await client.signIn(await makeUser());
      await fault({ path: '/auth/refresh', cut: 'before', times: 1 });
      await expect(client.refresh(pair.refresh_token)).rejects.toThrow(/hang up|ECONNRESET/);
      await client.rotate(pair.refresh_token);
    });

    it('answers as the service does, with the status, the code and the time to wait', async () => {
      await fault({ path: '/auth/*', status: 503, retry_after: 7, times: 1 });
      await fault({ path: '/auth/*', code: 'too_many_attempts', times: 1 });
      await fault({ path: '/oauth/token', code: 'overloaded' });
      await fault({ path: '/auth/me', status: 502 });
      const [unavailable, limited, proxied] = [await client.me('x'), await client.me('x'), await client.me('x')];
      expect([unavailable.status, codeOf(unavailable)]).toEqual([503, 'temporarily_unavailable']);
      expect(unavailable.headers).toMatchObject({ 'retry-after': '7', 'content-type': 'application/problem+json' });
      expect([limited.status, codeOf(limited)]).toEqual([429, 'too_many_attempts']);
      expect([proxied.status, proxied.text]).toEqual([502, '']);
      expect((await client.exchange('x')).body).toMatchObject({ error: 'temporarily_unavailable' });
    });

    it('delays, skips, stops after so many, and goes when it is removed', async () => {
      const delaying = await fault({ path: '/auth/me', delay_ms: 30, status: 500, skip: 1, times: 1 });
      const statuses = [];
      for (let round = 0; round < 3; round += 1) {
        statuses.push((await client.me('x')).status);
      }
      expect([statuses, await hitsOf(delaying)]).toEqual([[401, 500, 401], 1]);
      const lasting = await fault({ path: '/auth/me', status: 500 });
      expect(await kit.runner.must('GET', '/n1/faults')).toHaveLength(2);
      await kit.runner.must('DELETE', `/n1/faults/${lasting.id}`);
      expect((await client.me('x')).status).toBe(401);
      expect((await kit.runner.call('GET', `/n1/faults/${lasting.id}`)).body).toMatchObject({ code: 'fault_unknown' });
    });
  });

  describe('for a reset', () => {
    it('lets the service and its followers refuse every token of before, and keeps the keys', async () => {
      const user = await makeUser();
      const pair = await client.signIn(user);
      const tokens = [pair.access_token, await mint({ user_id: user.id }), await mint({ claims: { sid: user.id } })];
      const verifier = await startVerifier();
      const kids = await publishedKids();
      await kit.runner.must('POST', '/n1/reset');
      for (const token of tokens) {
        expect(await verify(token)).toBe('access_token_revoked');
        await eventually(async () => (await judge(verifier, token)) === 'access_token_revoked', { withinMs: 2_000 });
      }
      expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_expired');
      expect(codeOf(await client.login({ email: user.email, password: user.password }))).toBe('invalid_credentials');
      expect(await publishedKids()).toEqual(kids);
    });

    it('undoes clock, faults and requests', async () => {
      await setClock({ at: '2031-01-01T00:00:00Z', frozen: true });
      await fault({ status: 500 });
      await client.me();
      await kit.runner.must('POST', '/n1/reset');
      expect(await kit.runner.must<ClockAnswer>('GET', '/n1/clock')).toMatchObject({ frozen: false });
      expect(await kit.runner.must('GET', '/n1/faults')).toEqual([]);
      expect(await kit.runner.must('GET', '/n1/requests')).toMatchObject({ requests: [] });
    });

    it('forgets what was counted, in the database and in memory', async () => {
      const { email } = await makeUser();
      const fill = async (): Promise<readonly number[]> => {
        const guesses = await Promise.all(Array.from({ length: 11 }, () => client.login({ email, password: 'wrong' })));
        const refusals = await Promise.all(Array.from({ length: 301 }, () => client.refresh('rubbish')));
        return [...guesses, ...refusals].map(({ status }) => status).filter((status) => status === 429);
      };
      expect((await fill()).length).toBeGreaterThanOrEqual(2);
      await kit.runner.must('POST', '/n1/reset');
      const after = [await client.login({ email, password: 'wrong' }), await client.refresh('rubbish')];
      expect(after.map(codeOf)).toEqual(['invalid_credentials', 'refresh_token_invalid']);
    });

    it('leaves no row of a request that was in flight, which it cuts after a second', async () => {
      await database.query('begin');
      await database.query('lock table users in share row exclusive mode');
      const cut = client
        .register({ email: 'late@example.com', password: 'a long and unlikely sentence' })
        .catch(String);
      await eventually(async () => (await waitingForLock()) === 1, { withinMs: 5_000 });
      const reset = kit.runner.must('POST', '/n1/reset');
      expect(await cut).toMatch(/hang up|ECONNRESET/);
      await database.query('commit');
      await reset;
      expect((await database.query('select from users')).rowCount).toBe(0);
    });

    async function waitingForLock(): Promise<number> {
      const { rows } = await database.query<{ count: number }>(
        'select count(*)::integer as count from pg_locks where not granted',
      );
      return rows[0]!.count;
    }

    it('waits for no follower of revocations, and no request that is delayed begins after it', async () => {
      const { body } = await client.get('/auth/revocations');
      const { cursor } = body as { readonly cursor: string };
      const news = client.get(`/auth/revocations?after=${encodeURIComponent(cursor)}&wait=5`);
      const pair = await client.signIn(await makeUser());
      await fault({ path: '/auth/register', delay_ms: 60_000, cut: 'after' });
      const delayed = client
        .register({ email: 'late@example.com', password: 'a long and unlikely sentence' })
        .catch(String);
      await eventually(async () => (await kit.runner.must<FaultAnswer[]>('GET', '/n1/faults'))[0]!.hits === 1, {
        withinMs: 5_000,
      });
      await kit.runner.must('POST', '/n1/reset');
      expect((await news).body).toMatchObject({ revoked: [sessionIdOf(pair)] });
      expect(await delayed).toMatch(/hang up|ECONNRESET/);
      expect((await database.query('select from users')).rowCount).toBe(0);
    });
  });

  describe('for the journal', () => {
    it('lists requests with what the service made of them, and none of their contents', async () => {
      const user = await makeUser();
      const pair = await client.signIn(user);
      const { cursor } = await kit.runner.must<RequestsAnswer>('GET', '/n1/requests');
      await client.get('/auth/verify/some/where?token=x', pair.access_token);
      await client.get('/auth/me?x=1', 'rubbish');
      const fresh = await kit.runner.must<RequestsAnswer>('GET', `/n1/requests?after=${cursor}`);
      const common = { at: expect.any(String), method: 'GET', request_id: expect.any(String) };
      expect(fresh.requests).toEqual([
        { ...common, path: '/auth/verify/some/where', status: 200, user_id: user.id, sid: sessionIdOf(pair) },
        { ...common, path: '/auth/me', status: 401, code: 'access_token_invalid' },
      ]);
      const logins = await kit.runner.must<RequestsAnswer>('GET', '/n1/requests?path=/auth/log*');
      expect(logins.requests).toEqual([
        { ...common, method: 'POST', path: '/auth/login', status: 200, user_id: user.id, sid: sessionIdOf(pair) },
      ]);
    });
  });

  describe('for mails', () => {
    const ada = 'ada@example.com';

    async function outbox(query = ''): Promise<OutboxAnswer> {
      return kit.runner.must<OutboxAnswer>('GET', `/n1/outbox${query}`);
    }

    it('keeps what the service sends in memory, with its link, for the one whom it goes to', async () => {
      await makeUser({ email: ada });
      expect((await client.post('/auth/password/forgot', { email: ada })).status).toBe(202);
      const { messages, cursor } = await outbox('?to=Ada@Example.com&wait=5');
      expect(messages).toEqual([
        {
          id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          at: expect.any(String),
          to: ada,
          subject: expect.any(String),
          text: expect.stringContaining(messages[0]?.links[0] ?? 'a link'),
          html: expect.stringContaining(messages[0]?.links[0] ?? 'a link'),
          links: [expect.stringMatching(/^http:\/\/[^#]+#password_reset=pr1\.[\w-]{66}$/)],
          codes: [],
        },
      ]);
      const [, token] = /=(.*)$/.exec(messages[0]?.links[0] ?? '') ?? [];
      const reset = await client.post('/auth/password/reset', { token, new_password: 'another long and odd sentence' });
      expect(reset.status).toBe(204);
      expect((await outbox(`?after=${cursor}&wait=5`)).messages).toMatchObject([{ to: ada, links: [], codes: [] }]);
      expect((await outbox('?to=grace@example.com&wait=0.2')).messages).toEqual([]);
    });

    it('answers a poll as soon as there is a mail, while the clock stands still in another year', async () => {
      await makeUser({ email: ada });
      await setClock({ at: '2031-02-03T04:05:06Z', frozen: true });
      const startedAtMs = performance.now();
      const poll = outbox('?wait=30');
      expect((await client.post('/auth/password/forgot', { email: ada })).status).toBe(202);
      expect((await poll).messages).toMatchObject([{ to: ada, at: '2031-02-03T04:05:06.000Z' }]);
      expect(performance.now() - startedAtMs).toBeLessThan(4_000);
    });

    it('has none after a reset, and a cursor of before still works', async () => {
      await makeUser({ email: ada });
      await client.post('/auth/password/forgot', { email: ada });
      await kit.runner.must('POST', '/n1/reset');
      const { messages, cursor } = await outbox();
      expect(messages).toEqual([]);
      await makeUser({ email: ada });
      await client.post('/auth/password/forgot', { email: ada });
      expect((await outbox(`?after=${cursor}&wait=5`)).messages).toHaveLength(1);
    });

    it.each(['?wait=31', '?wait=-1', '?wait=x', '?after=x', '?from=ada'])('refuses %s', async (query) => {
      expect((await kit.runner.call('GET', `/n1/outbox${query}`)).body).toMatchObject({ code: 'validation_failed' });
    });
  });

  describe('for namespaces', () => {
    it('gives each an issuer, keys and settings of its own, and main is at the root', async () => {
      const main = await kit.runner.must<NamespaceAnswer>('PUT', '/main');
      expect(main).toEqual({
        name: 'main',
        url: kit.runner.facts.url,
        issuer: kit.runner.facts.issuer,
        audience: 'ratchet',
        jwks_uri: `${kit.runner.facts.url}/.well-known/jwks.json`,
      });
      const pair = await client.signIn(await makeUser());
      expect(pair.expires_in).toBe(60);
      expect(codeOf(await new TestClient(main.url).me(pair.access_token))).toBe('access_token_invalid');
      const metadata = await fetch(`${main.url}/.well-known/oauth-authorization-server/ns/n1`);
      expect(await metadata.json()).toMatchObject({ issuer: ns.issuer });
      expect(ns.issuer).toBe(`${main.issuer}/ns/n1`);
    });

    it('makes one once for callers that ask at the same time, and again after it was dropped', async () => {
      const answers = await Promise.all([1, 2, 3].map(() => kit.runner.call('PUT', '/n2', {})));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 201]);
      expect(await kit.runner.call('DELETE', '/n2')).toMatchObject({ status: 204 });
      const gone = await fetch(`${kit.runner.facts.url}/ns/n2/auth/me`);
      expect([gone.status, await gone.json()]).toMatchObject([404, { code: 'namespace_unknown' }]);
    });

    it('keeps to 64 of them', async () => {
      const { Namespaces } = (await import(
        new URL('../packages/testing/dist/runner/namespaces.mjs', import.meta.url).href
      )) as typeof NamespacesModule;
      const endless = { create: () => new Promise(() => undefined) };
      const namespaces = new Namespaces(endless as never, (name) => `http://localhost/${name}`, {});
      for (let number = 0; number < 64; number += 1) {
        void namespaces.provide(`n${number}`, undefined);
      }
      await expect(namespaces.provide('n64', undefined)).rejects.toMatchObject({
        status: 409,
        code: 'too_many_namespaces',
      });
    });

    it('refuses settings that are none, are wrong, or differ from those it has', async () => {
      const put = async (name: string, config: object): Promise<unknown> =>
        (await kit.runner.call('PUT', name, { config })).body;
      expect(await put('/n3', { ACCESS_TOKEN_TTL: '60' })).toMatchObject({
        code: 'validation_failed',
        detail: expect.stringContaining('ACCESS_TOKEN_TTL_SECONDS'),
      });
      expect(await put('/n3', { ACCESS_TOKEN_TTL_SECONDS: 'x' })).toMatchObject({ code: 'validation_failed' });
      expect(await put('/n3', { AUTH_SECRET: 'x' })).toMatchObject({ code: 'validation_failed' });
      expect(await put('/n1', { ACCESS_TOKEN_TTL_SECONDS: '60' })).toMatchObject({ code: 'config_differs' });
      expect(await put('/n1', { RATE_LIMITS: 'on', ACCESS_TOKEN_TTL_SECONDS: '60' })).toMatchObject({ name: 'n1' });
    });
  });

  describe('for callers', () => {
    it.each<[string, string, unknown, number, string]>([
      ['GET', '/nowhere/clock', undefined, 404, 'namespace_unknown'],
      ['DELETE', '/nowhere', undefined, 404, 'namespace_unknown'],
      ['DELETE', '/main', undefined, 409, 'namespace_kept'],
      ['PUT', '/Upper', {}, 400, 'validation_failed'],
      ['PUT', `/${'x'.repeat(41)}`, {}, 400, 'validation_failed'],
      ['GET', '/n1/nothing', undefined, 404, 'not_found'],
      ['GET', '/n1/reset', undefined, 405, 'method_not_allowed'],
      ['PUT', '/health', {}, 405, 'method_not_allowed'],
      ['POST', '/n1/users', [], 400, 'validation_failed'],
      ['POST', '/n1/users', [{ mail: 'x' }], 400, 'validation_failed'],
      ['POST', '/n1/users', [{ email: 'x' }], 400, 'validation_failed'],
      ['POST', '/n1/tokens', { user_id: 'ada' }, 400, 'validation_failed'],
      ['PUT', '/n1/clock', { advance_seconds: -1 }, 400, 'validation_failed'],
      ['PUT', '/n1/clock', { at: 'tomorrow' }, 400, 'validation_failed'],
      ['POST', '/n1/faults', { status: 200 }, 400, 'validation_failed'],
      ['POST', '/n1/faults', { status: 500, cut: 'after' }, 400, 'validation_failed'],
      ['GET', '/n1/requests?since=1', undefined, 400, 'validation_failed'],
    ])('refuses %s %s %j and says what to do', async (method, path, body, status, code) => {
      const answer = await kit.runner.call(method, path, body);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer).toMatchObject({ status, body: { code, status, detail: expect.stringMatching(/.{20,}/) } });
    });

    it('refuses what is not JSON', async () => {
      const url = `${kit.runner.facts.test_url}/n1/tokens`;
      const answer = await fetch(url, { method: 'POST', headers: { 'x-ratchet-test': '1' }, body: '{' });
      expect(await answer.json()).toMatchObject({ code: 'malformed_request' });
    });

    it('refuses a page in a browser: without the header, and by a name that leads here', async () => {
      const { test_url: testUrl } = kit.runner.facts;
      const preflight = await fetch(`${testUrl}/n1/reset`, {
        method: 'OPTIONS',
        headers: { origin: 'https://evil.example' },
      });
      expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([403, null]);
      expect(await (await fetch(`${testUrl}/n1/reset`, { method: 'POST' })).json()).toMatchObject({
        code: 'test_header_missing',
      });
      expect(await askAs('evil.example')).toBe(403);
      expect(
        await Promise.all(['localhost', 'ratchet-test', '[::1]:4010', '127.0.0.1', 'host.docker.internal'].map(askAs)),
      ).toEqual(Array(5).fill(200));
    });

    function askAs(host: string): Promise<number | undefined> {
      return new Promise((resolve, reject) => {
        httpRequest(`${kit.runner.facts.test_url}/health`, { headers: { host, 'x-ratchet-test': '1' } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on('error', reject)
          .end();
      });
    }

    it('says with every answer that it is a test kit, also where there was no request', async () => {
      const { url } = kit.runner.facts;
      const answers = await Promise.all(
        ['/', '/health/live', '/ns/n1/nowhere', '/ns/nowhere/x', '/test/x', '/auth/verify'].map((path) =>
          fetch(url + path),
        ),
      );
      expect(answers.map(({ headers }) => headers.get('x-ratchet-test'))).toEqual(answers.map(() => '1'));
      const { port, hostname } = new URL(url);
      const raw = await new Promise<string>((resolve) => {
        let text = '';
        connect(Number(port), hostname)
          .on('data', (chunk) => (text += chunk.toString()))
          .on('close', () => {
            resolve(text);
          })
          .end('rubbish\r\n\r\n');
      });
      expect(raw).toMatch(/^HTTP\/1\.1 400 [\s\S]*x-ratchet-test: 1/i);
    });

    it('describes its routes in OpenAPI, and has all that it describes', async () => {
      const document = await kit.runner.must<{ readonly paths: Record<string, Record<string, object>> }>(
        'GET',
        '/openapi.json',
      );
      const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => [
          method.toUpperCase(),
          path.replace('{ns}', 'nowhere').replace('{id}', 'x'),
        ]),
      );
      expect(routes).toHaveLength(17);
      for (const [method = '', path = ''] of routes.filter(([method]) => method !== 'PUT')) {
        const { status, body } = await kit.runner.call(method, path.slice('/test'.length));
        expect([path, status === 200 || codeOf({ body }) === 'namespace_unknown']).toEqual([path, true]);
      }
    });
  });
});
