import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { eventually } from './support/eventually.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { isRedisInstalled, RedisAddress, RedisServer } from './support/redis-server.js';
import { recordStatements } from './support/statement-log.js';
import { type Account, codeOf, newEmail, newPassword } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

function credentialsOf({ email, password }: Account): { readonly email: string; readonly password: string } {
  return { email, password };
}

describe('the delay of an account under attack', () => {
  const { database, service } = useService({ RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' });
  let account: Account;

  beforeAll(async () => {
    account = await service.client.signUp();
  });

  const guess = (): Promise<Response> =>
    service.client.post(
      '/auth/login',
      { email: account.email, password: newPassword() },
      { 'x-forwarded-for': '198.51.100.7' },
    );

  /** Moves the gates and delays by so many seconds, while counters keep their day. */
  async function wait(seconds: number): Promise<void> {
    await database.sql(`update rate_limits set expire = expire - $1 where key like 'password-gate:%'`, [
      seconds * 1000,
    ]);
  }

  async function retryAfterSecondsOf(attempt: Promise<Response>): Promise<number> {
    const response = await attempt;
    expectProblem(response, 'too_many_attempts');
    return Number(response.headers['retry-after']);
  }

  it('doubles from half a minute to a quarter of an hour, and lets one attempt through each time', async () => {
    for (let attempt = 1; attempt <= 10; attempt += 1) {
      expectProblem(await guess(), 'invalid_credentials');
    }
    for (const delaySeconds of [30, 60, 120, 240, 480, 900, 900, 900]) {
      // Always the whole delay: the answer does not tell at which second it ends.
      expect(await retryAfterSecondsOf(guess())).toBe(delaySeconds);
      await wait(delaySeconds - 15);
      expect(await retryAfterSecondsOf(guess())).toBe(delaySeconds);
      await wait(15);
      const codes = (await Promise.all([guess(), guess(), guess()])).map(codeOf);
      expect(codes.sort()).toEqual(['invalid_credentials', 'too_many_attempts', 'too_many_attempts']);
    }
  });

  it('ends for the owner with the right password, and with it all that was counted', async () => {
    expect(await retryAfterSecondsOf(service.client.login(credentialsOf(account)))).toBeLessThanOrEqual(900);
    await wait(900);
    expect((await service.client.login(credentialsOf(account))).status).toBe(200);
    for (let attempt = 1; attempt <= 10; attempt += 1) {
      expectProblem(await guess(), 'invalid_credentials');
    }
    expect(await retryAfterSecondsOf(guess())).toBeLessThanOrEqual(30);
  });

  it('is kept under keys that tell neither an e-mail nor an address', async () => {
    const rows = await database.sql<{ key: string }>('select key from rate_limits order by key');
    expect(rows.map(({ key }) => key.replace(/:[A-Za-z0-9_-]{43}$/, ':<hash>'))).toEqual([
      'password-account-hour:<hash>',
      'password-account:<hash>',
      'password-delay:<hash>',
      'password-gate:<hash>',
      'password-network:<hash>',
      'password-network:<hash>',
      'password-place:<hash>',
      'registration-network:<hash>',
    ]);
  });
});

describe('where a client is', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.close());

  it('is what the connection says, whatever it writes into X-Forwarded-For, unless it is a trusted proxy', async () => {
    const service = await startService(database, { RATE_LIMITS: 'on' });
    try {
      const codes = await Promise.all(
        Array.from({ length: 101 }, async (_, index) => {
          const credentials = { email: newEmail(), password: newPassword() };
          return codeOf(
            await service.client.post('/auth/login', credentials, { 'x-forwarded-for': `203.0.113.${index}` }),
          );
        }),
      );
      expect(codes.filter((code) => code === 'too_many_attempts')).toHaveLength(1);
    } finally {
      await service.stop();
    }
  });
});

describe('a network behind a proxy that appends ports', () => {
  const { service } = useService({ RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' });

  it('is the address alone: wrong passwords from a hundred others do not close it', async () => {
    const account = await service.client.signUp();
    const logIn = (address: string, credentials: object): Promise<Response> =>
      service.client.post('/auth/login', credentials, { 'x-forwarded-for': address });
    const wrong = await Promise.all(
      Array.from({ length: 102 }, (_, index) =>
        logIn(`203.0.113.${index}:${51_000 + index}`, { email: newEmail(), password: newPassword() }),
      ),
    );
    expect(new Set(wrong.map(codeOf))).toEqual(new Set(['invalid_credentials']));
    const right = await logIn('198.51.100.7:443', { email: account.email, password: account.password });
    expect(right.status).toBe(200);
  });
});

describe.skipIf(!isRedisInstalled)('counters in a Redis that has become a replica', () => {
  const database = useDatabase();

  it('are counted on the new primary, though the old connection stays open; until then the instance is not ready', async () => {
    const [old, promoted] = await Promise.all([RedisServer.start(), RedisServer.start()]);
    let primary = old;
    const address = await RedisAddress.listen(() => primary);
    const service = await startService(database, { RATE_LIMITS: 'on', REDIS_URL: address.url });
    const isReady = async (): Promise<boolean> => (await service.client.get('/health/ready')).status === 200;
    try {
      await eventually(isReady, { withinMs: 10_000 });
      const account = await service.client.signUp();
      await old.demote();
      expectUnavailable(await service.client.login(credentialsOf(account)), 'temporarily_unavailable');
      await eventually(async () => !(await isReady()), { withinMs: 10_000 });
      primary = promoted;
      await eventually(async () => (await service.client.login(credentialsOf(account))).status === 200, {
        withinMs: 10_000,
      });
      await eventually(isReady, { withinMs: 10_000 });
      expect(service.logs.filter(({ event }) => event === 'redis_away')).toHaveLength(1);
    } finally {
      await service.stop();
      address.close();
      await Promise.all([old.stop(), promoted.stop()]);
    }
  });
});

describe('refresh and logout', () => {
  const REFUSALS = 300;
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' });

  it('turn away the refused tokens of a network that shows 300 in a minute, and no authentic ones, nor other networks', async () => {
    const { pair } = await service.client.signUpAndIn();
    const { pair: other } = await service.client.signUpAndIn();
    const post = (path: string, token: string, address: string): Promise<Response> =>
      service.client.post(path, { refresh_token: token }, { 'x-forwarded-for': address });
    const statements = recordStatements(proxy);
    for (let count = 0; count < REFUSALS; count += 50) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          post(index % 2 === 0 ? '/auth/refresh' : '/auth/logout', `rt1.rubbish-${count + index}`, '192.0.2.1'),
        ),
      );
      answers.forEach((answer) => {
        expectProblem(answer, 'refresh_token_invalid');
      });
    }
    for (const path of ['/auth/refresh', '/auth/logout']) {
      const refused = await post(path, 'rt1.rubbish', '192.0.2.1');
      expectProblem(refused, 'too_many_attempts');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
      expectProblem(await post(path, 'rt1.rubbish', '192.0.2.2'), 'refresh_token_invalid');
    }
    expect(statements).toEqual([]);
    const next = await post('/auth/refresh', pair.refresh_token, '192.0.2.1');
    expect(next.status).toBe(200);
    const { refresh_token } = next.body as { refresh_token: string };
    expect((await post('/auth/logout', refresh_token, '192.0.2.1')).status).toBe(204);
    const byAccessToken = { authorization: `Bearer ${other.access_token}`, 'x-forwarded-for': '192.0.2.1' };
    expect((await service.client.post('/auth/logout', {}, byAccessToken)).status).toBe(204);
  });
});

describe('RATE_LIMITS=off', () => {
  it('limits nothing, and says so loudly at boot', async () => {
    const database = await createTestDatabase();
    const service = await startService(database, { RATE_LIMITS: 'off' });
    try {
      expect(service.logs).toContainEqual(expect.objectContaining({ event: 'rate_limits_off', level: 'warn' }));
      const email = newEmail();
      const logins = Array.from({ length: 110 }, () => service.client.login({ email, password: newPassword() }));
      expect(new Set((await Promise.all(logins)).map(codeOf))).toEqual(new Set(['invalid_credentials']));
      const rubbish = Array.from({ length: 310 }, () => service.client.refresh('rt1.rubbish'));
      expect(new Set((await Promise.all(rubbish)).map(codeOf))).toEqual(new Set(['refresh_token_invalid']));
      expect(await database.sql('select key from rate_limits')).toEqual([]);
    } finally {
      await service.stop();
      await database.close();
    }
  });
});

describe('counters that cannot be reached', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;

  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await PostgresProxy.start(database.url);
  });

  afterAll(async () => {
    await proxy.close();
    await database.close();
  });

  it('in PostgreSQL make a login a 503 and not a free guess, and are found again without a restart', async () => {
    const service = await startService({ url: proxy.url }, { RATE_LIMITS: 'on' });
    try {
      const account = await service.client.signUp();
      proxy.cutWhen((statement) => (statement.includes('rate_limits') ? 'before' : undefined));
      expectUnavailable(await service.client.login(credentialsOf(account)), 'temporarily_unavailable');
      proxy.cutWhen(() => undefined);
      expect((await service.client.signIn(account)).token_type).toBe('Bearer');
    } finally {
      await service.stop();
    }
  });

  (isRedisInstalled ? it : it.skip)('in Redis likewise, while everything that checks no password goes on', async () => {
    const redis = await RedisServer.start();
    const service = await startService(database, { RATE_LIMITS: 'on', REDIS_URL: redis.url });
    const credentials = { email: newEmail(), password: newPassword() };
    const registers = async (): Promise<boolean> => (await service.client.register(credentials)).status === 201;
    const logsIn = async (): Promise<boolean> => (await service.client.login(credentials)).status === 200;
    try {
      await eventually(registers, { withinMs: 10_000 });
      const pair = await service.client.signIn(credentials);

      redis.freeze();
      expectUnavailable(await service.client.login(credentials), 'temporarily_unavailable');
      redis.thaw();
      await eventually(logsIn, { withinMs: 15_000 });

      await redis.stop();
      await eventually(async () => (await service.client.login(credentials)).status === 503, { withinMs: 10_000 });
      expectUnavailable(await service.client.login(credentials), 'temporarily_unavailable');
      expectUnavailable(
        await service.client.register({ email: newEmail(), password: newPassword() }),
        'temporarily_unavailable',
      );
      const next = await service.client.rotate(pair.refresh_token);
      expect((await service.client.me(next.access_token)).status).toBe(200);

      await redis.start();
      await eventually(logsIn, { withinMs: 15_000 });
    } finally {
      await service.stop();
      await redis.stop();
    }
  });
});
