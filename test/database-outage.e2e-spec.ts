import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { openForMigrations } from '../src/platform/database/data-source.js';
import { migrateDatabase } from '../src/platform/database/migrate.js';
import { openDatabase } from '../src/platform/database/open-database.js';
import { listMissingPrivileges } from '../src/platform/database/service-privileges.js';
import { withClient } from '../src/platform/database/with-client.js';
import { findSessionSupport } from '../src/platform/database/session-support.js';
import { openConnections, sendRefresh } from './support/abandoned-refresh.js';
import { eventually } from './support/eventually.js';
import { askGuard } from './support/guard-probe.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import {
  type Account,
  codeOf,
  newEmail,
  newIdempotencyKey,
  newPassword,
  sessionIdOf,
  type TestClient,
  type TokenPair,
} from './support/test-client.js';
import { startService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const MAX_STALENESS_SECONDS = 2;

/** Waits for nothing. */
const ABORTED = AbortSignal.abort();

interface Signed {
  readonly account: Account;
  readonly pair: TokenPair;
}

type Ask = (client: TestClient, signed: Signed) => Promise<Response>;

const ROUTES_THAT_NEED_THE_DATABASE: readonly { readonly route: string; readonly ask: Ask }[] = [
  { route: 'POST /auth/register', ask: (client) => client.register({ email: newEmail(), password: newPassword() }) },
  { route: 'POST /auth/login', ask: (client, { account }) => client.login(credentialsOf(account)) },
  { route: 'POST /auth/refresh', ask: (client, { pair }) => client.refresh(pair.refresh_token) },
  {
    route: 'POST /auth/refresh with a key',
    ask: (client, { pair }) => client.refresh(pair.refresh_token, newIdempotencyKey()),
  },
  {
    route: 'POST /auth/logout by refresh token',
    ask: (client, { pair }) => client.logout({ refreshToken: pair.refresh_token }),
  },
  {
    route: 'POST /auth/logout by access token',
    ask: (client, { pair }) => client.logout({ accessToken: pair.access_token }),
  },
  { route: 'POST /auth/logout-all', ask: (client, { pair }) => client.logoutAll(pair.access_token) },
  { route: 'GET /auth/me', ask: (client, { pair }) => client.me(pair.access_token) },
  {
    route: 'POST /auth/password',
    ask: (client, { account, pair }) => client.changePassword(pair.access_token, account.password, newPassword()),
  },
  { route: 'GET /auth/sessions', ask: (client, { pair }) => client.sessions(pair.access_token) },
  {
    route: 'DELETE /auth/sessions/{id}',
    ask: (client, { pair }) => client.endSession(pair.access_token, sessionIdOf(pair)),
  },
  { route: 'GET /health/ready', ask: (client) => client.get('/health/ready') },
];

describe('a running service whose database goes away', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { REVOCATION_MAX_STALENESS_SECONDS: String(MAX_STALENESS_SECONDS) });
  const uncaught: unknown[] = [];
  const noteUncaught = (error: unknown): void => {
    uncaught.push(error);
  };
  let client: TestClient;
  let signed: Signed;

  beforeAll(async () => {
    process.on('uncaughtException', noteUncaught);
    client = service.client;
    const { pair, ...account } = await client.signUpAndIn();
    signed = { account, pair };
  });

  afterEach(async () => {
    uncaught.length = 0;
    await proxy.resume();
    await isReady();
    expect(service.logs.filter((line) => line['code'] === 'internal_error')).toEqual([]);
  });

  afterAll(() => {
    process.off('uncaughtException', noteUncaught);
  });

  async function loseDatabase(): Promise<void> {
    proxy.refuse();
    await eventually(async () => (await client.get('/health/ready')).status === 503, { withinMs: 5_000 });
  }

  async function isReady(): Promise<void> {
    await eventually(async () => (await client.get('/health/ready')).status === 200, { withinMs: 5_000 });
  }

  it.each(ROUTES_THAT_NEED_THE_DATABASE)('$route says 503 with Retry-After, and nothing was done', async ({ ask }) => {
    const before = await database.sql('select id, generation, revoked_at from refresh_token_families order by id');
    await loseDatabase();
    expectUnavailable(await ask(client, signed), 'temporarily_unavailable');
    expect(await database.sql('select id, generation, revoked_at from refresh_token_families order by id')).toEqual(
      before,
    );
  });

  it('an outage is told in a few lines, however many requests it refuses, and the end of it as well', async () => {
    const operated = await startService(proxy, { LOG_LEVEL: 'info', REVOCATION_MAX_STALENESS_SECONDS: '1' });
    const bytes = (): number => operated.logs.reduce((sum, line) => sum + JSON.stringify(line).length, 0);
    const linesOf = (msg: string): number => operated.logs.filter((line) => line['msg'] === msg).length;
    const askAll = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count += 1) {
        const answers = await Promise.all([
          ...ROUTES_THAT_NEED_THE_DATABASE.map(({ ask }) => ask(operated.client, signed)),
          operated.client.get('/auth/verify', signed.pair.access_token),
        ]);
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
      }
    };
    try {
      const atFirst = bytes();
      proxy.refuse();
      await eventually(
        async () => (await operated.client.get('/auth/verify', signed.pair.access_token)).status === 503,
        {
          withinMs: 5_000,
        },
      );
      await askAll(2);
      const told = bytes();
      expect(told - atFirst).toBeGreaterThan(0);
      await askAll(20);
      expect(bytes() - told).toBeLessThan(1_000);
      expect(bytes() - atFirst).toBeLessThan(20_000);

      await proxy.resume();
      await eventually(() => linesOf('revocations are being followed again') > 0, { withinMs: 5_000 });
      // Clients that give up, while they send or while they wait.
      proxy.freeze();
      const open = await openConnections(operated);
      const sockets = await Promise.all(
        ['{', undefined].flatMap((sentBody) =>
          Array.from({ length: 20 }, () => sendRefresh(operated.url, signed.pair.refresh_token, sentBody)),
        ),
      );
      await eventually(async () => (await openConnections(operated)) === open + sockets.length, { withinMs: 5_000 });
      sockets.forEach((socket) => socket.destroy());
      await eventually(() => linesOf('request aborted by the client') > 0, { withinMs: 5_000 });
      await eventually(async () => (await openConnections(operated)) === open, { withinMs: 5_000 });
      await proxy.resume();
      await eventually(async () => (await operated.client.get('/health/ready')).status === 200, { withinMs: 10_000 });
      expect(linesOf('request aborted by the client')).toBe(1);
      expect(bytes() - atFirst).toBeLessThan(20_000);
    } finally {
      await proxy.resume();
      await operated.stop();
    }
  });

  it('the process lives, serves its public keys, and answers what needs no database', async () => {
    await loseDatabase();
    const live = await client.get('/health/live');
    expect([live.status, live.body]).toEqual([200, { status: 'ok' }]);
    expect((await client.get('/health/started')).status).toBe(200);
    expect((await client.get('/.well-known/jwks.json')).status).toBe(200);
    expectProblem(await client.me(), 'access_token_missing');
    expectProblem(await client.me('rubbish'), 'access_token_invalid');
    expectProblem(await client.refresh('rubbish'), 'refresh_token_invalid');
    expectProblem(await client.get('/nothing/here'), 'not_found');
  });

  it('access tokens are believed for as long as the revocation feed may be stale, and after that get 503', async () => {
    const { access_token: token } = signed.pair;
    const answers: { readonly askedAtMs: number; readonly code: string }[] = [];
    await eventually(() => isCurrentFeed(), { withinMs: 5_000 });
    proxy.refuse();
    const goneAtMs = performance.now();
    await eventually(
      async () => {
        const askedAtMs = performance.now() - goneAtMs;
        const response = await askGuard(client, token);
        answers.push({ askedAtMs, code: codeOf(response) });
        return response.status === 503;
      },
      { withinMs: 10_000 },
    );
    const believed = answers.slice(0, -1);
    expect(new Set(believed.map((answer) => answer.code))).toEqual(new Set(['validation_failed']));
    // The last poll that completed had begun before the database went.
    expect(believed.at(-1)!.askedAtMs).toBeLessThanOrEqual(MAX_STALENESS_SECONDS * 1_000);
    expectUnavailable(await askGuard(client, token), 'temporarily_unavailable');
    expectProblem(await askGuard(client, 'rubbish'), 'access_token_invalid');
  });

  it('everything works without a restart after the database has come back', async () => {
    const { pair, ...account } = await client.signUpAndIn();
    await loseDatabase();
    await eventually(async () => (await askGuard(client, pair.access_token)).status === 503, { withinMs: 10_000 });
    await proxy.resume();
    await isReady();
    expect((await client.me(pair.access_token)).status).toBe(200);
    const next = await client.rotate(pair.refresh_token, newIdempotencyKey());
    const other = await client.signIn(account);
    expect((await client.logout({ refreshToken: next.refresh_token })).status).toBe(204);
    expectProblem(await client.me(next.access_token), 'access_token_revoked');
    expect((await client.me(other.access_token)).status).toBe(200);
  });

  it('terminated connections cost no refresh, and any other request at most a 503', async () => {
    const { pair } = await client.signUpAndIn();
    let refreshToken = pair.refresh_token;
    for (let round = 0; round < 5; round += 1) {
      // Every connection in the pool is open and idle, or busy, when it dies.
      const busy = Promise.all(Array.from({ length: 10 }, () => client.login(credentialsOf(signed.account))));
      await database.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'ratchet%'`,
      );
      refreshToken = (await client.rotate(refreshToken)).refresh_token;
      const logins = await busy;
      // A login whose first look-up loses its connection is not repeated for the client, who is told to do so.
      expect(logins.filter((login) => login.status !== 200 && login.status !== 503).map((login) => login.text)).toEqual(
        [],
      );
    }
  });

  it('survives a server that ends connections in the packet that opens them, and refreshes meanwhile', async () => {
    const { pair } = await client.signUpAndIn();
    proxy.refuse();
    await proxy.resume();
    proxy.endOpening(6);
    expect((await client.rotate(pair.refresh_token)).refresh_token).not.toBe(pair.refresh_token);
    await isReady();
    expect(uncaught).toEqual([]);
  });

  it('stops while the connections of its feed are being opened', async () => {
    const stopping = await startService(proxy);
    proxy.freeze();
    const before = proxy.connections;
    await database.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name in ('ratchet heartbeat', 'ratchet revocations')`,
    );
    // Two of each instance.
    await eventually(() => proxy.connections >= before + 4, { withinMs: 5_000 });
    const stopped = stopping.stop();
    await proxy.resume();
    await stopped;
  });

  it.each<[string, (url: string) => Promise<unknown>]>([
    ['the migrations', migrateDatabase],
    ['the pool of the migrations', async (url) => (await openForMigrations(url)).destroy()],
    ['the look at the privileges', (url) => withClient(url, listMissingPrivileges)],
    ['the search for a pooler', (url) => findSessionSupport({ url, directUrl: url })],
    ['the wait for the server', (url) => openDatabase({ ...service.config.database, url }, () => undefined, ABORTED)],
  ])('survives it where %s makes the connection', async (_, connect) => {
    const ending = await PostgresProxy.start(database.url);
    try {
      ending.endOpening(1);
      await connect(ending.url).catch(() => undefined);
      expect(ending.connections).toBeGreaterThan(0);
      expect(uncaught).toEqual([]);
    } finally {
      await ending.close();
    }
  });

  async function isCurrentFeed(): Promise<boolean> {
    return (await askGuard(client, signed.pair.access_token)).status === 400;
  }
});

function credentialsOf(account: Account): { readonly email: string; readonly password: string } {
  return { email: account.email, password: account.password };
}
