import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Client, Pool } from 'pg';
import { KeysService } from '../src/keys/keys.service.js';
import { openConnections, sendRefresh } from './support/abandoned-refresh.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { HonestClient } from './support/honest-client.js';
import type { Cut } from './support/postgres-proxy.js';
import { COMMIT, LOGOUT, REGISTRATION, ROTATION } from './support/statements.js';
import {
  codeOf,
  newEmail,
  newIdempotencyKey,
  newPassword,
  pairOf,
  sessionIdOf,
  type TestClient,
  type TokenPair,
} from './support/test-client.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

describe('a connection that dies around a commit', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy);
  let client: TestClient;

  beforeAll(() => {
    client = service.client;
  });

  beforeEach(() => {
    proxy.cutWhen(() => undefined);
    proxy.cuts = 0;
  });

  function familyOf(pair: TokenPair): Promise<{ generation: number; revoke_reason: string | null }[]> {
    return database.sql('select generation, revoke_reason from refresh_token_families where id = $1', [
      sessionIdOf(pair),
    ]);
  }

  async function liveSessionsOf(userId: string): Promise<string[]> {
    const rows = await database.sql<{ id: string }>(
      'select id from refresh_token_families where user_id = $1 and revoked_at is null',
      [userId],
    );
    return rows.map((row) => row.id);
  }

  describe.each<{ readonly cut: Cut; readonly times: number }>([
    { cut: 'after', times: 1 },
    { cut: 'after', times: 3 },
    { cut: 'before', times: 2 },
  ])('$times times in a row, right $cut it', ({ cut, times }) => {
    afterEach(() => {
      expect(proxy.cuts).toBe(times);
    });

    it.each([
      { name: 'with an Idempotency-Key', key: newIdempotencyKey() },
      { name: 'without one', key: undefined },
    ])('invariant 6: a refresh $name is settled and answered with the one successor that is good', async ({ key }) => {
      const { pair } = await client.signUpAndIn();
      proxy.cutNext(ROTATION, cut, times);
      const response = await client.refresh(pair.refresh_token, key);
      expect(response.status).toBe(200);
      expect(response.body).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: expect.stringMatching(/^rt1\./),
        refresh_expires_in: expect.any(Number),
      });
      expect(await familyOf(pair)).toEqual([{ generation: 2, revoke_reason: null }]);
      await client.rotate(pairOf(response).refresh_token, newIdempotencyKey());
      expect(await familyOf(pair)).toEqual([{ generation: 3, revoke_reason: null }]);
    });

    it('a login makes one session, and it is the one handed out', async () => {
      const account = await client.signUp();
      proxy.cutNext(COMMIT, cut, times);
      const pair = await client.signIn(account);
      expect(await liveSessionsOf(account.id)).toEqual([sessionIdOf(pair)]);
      await client.rotate(pair.refresh_token);
    });

    it('a password change leaves the new password and the one session that it hands out', async () => {
      const { pair, ...account } = await client.signUpAndIn();
      const password = newPassword();
      proxy.cutNext(COMMIT, cut, times);
      const changed = pairOf(await client.changePassword(pair.access_token, account.password, password));
      expect(await liveSessionsOf(account.id)).toEqual([sessionIdOf(changed)]);
      expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_revoked');
      expect(codeOf(await client.login({ email: account.email, password: account.password }))).toBe(
        'invalid_credentials',
      );
      await client.rotate(changed.refresh_token);
      await client.signIn({ email: account.email, password });
    });

    it('a registration makes one account and says so', async () => {
      const credentials = { email: newEmail(), password: newPassword() };
      proxy.cutNext(REGISTRATION, cut, times);
      const response = await client.register(credentials);
      expect(response.status).toBe(201);
      expect(await database.sql('select id from users where email = $1', [credentials.email])).toEqual([
        { id: (response.body as { id: string }).id },
      ]);
      await client.signIn(credentials);
    });

    it.each<{ readonly name: string; readonly end: (pair: TokenPair) => ReturnType<TestClient['logout']> }>([
      { name: 'logout by refresh token', end: (pair) => client.logout({ refreshToken: pair.refresh_token }) },
      { name: 'logout by access token', end: (pair) => client.logout({ accessToken: pair.access_token }) },
      { name: 'the end of one session', end: (pair) => client.endSession(pair.access_token, sessionIdOf(pair)) },
    ])('$name is acknowledged and has happened', async ({ end }) => {
      const { pair } = await client.signUpAndIn();
      proxy.cutNext(LOGOUT, cut, times);
      const response = await end(pair);
      expect(response.status).toBe(204);
      expect(codeOf(await client.refresh(pair.refresh_token))).toBe('session_revoked');
      expect(codeOf(await client.me(pair.access_token))).toBe('access_token_revoked');
    });

    it('logout from everywhere is acknowledged and has happened', async () => {
      const { pair, ...account } = await client.signUpAndIn();
      const other = await client.signIn(account);
      proxy.cutNext(COMMIT, cut, times);
      const response = await client.logoutAll(pair.access_token);
      expect(response.status).toBe(204);
      expect(codeOf(await client.me(other.access_token))).toBe('access_token_revoked');
      expect(await liveSessionsOf(account.id)).toEqual([]);
    });
  });

  it('a reuse whose answer is lost is still a reuse, and still ends the session', async () => {
    const { pair } = await client.signUpAndIn();
    const next = await client.rotate(pair.refresh_token);
    proxy.cutNext(ROTATION, 'after');
    expect(codeOf(await client.refresh(pair.refresh_token))).toBe('refresh_token_reused');
    expect(proxy.cuts).toBe(1);
    expect(await familyOf(pair)).toEqual([{ generation: 2, revoke_reason: 'reuse' }]);
    expect(codeOf(await client.me(next.access_token))).toBe('access_token_revoked');
  });

  it('invariant 6: a client that follows the algorithm is never signed out, wherever connections break', async () => {
    const seed = 20_261_123;
    const random = mulberry32(seed);
    const other = await startService(proxy);
    const pairs = await Promise.all(Array.from({ length: 6 }, () => client.signUpAndIn()));
    proxy.cutWhen(() => {
      const dice = random();
      return dice < 0.1 ? 'after' : dice < 0.2 ? 'before' : undefined;
    });
    const clients = pairs.map(
      ({ pair }) =>
        new HonestClient(pair, () => ({
          url: random() < 0.5 ? service.url : other.url,
          // About every third answer is lost on the way to the client, at any point of the service's work.
          timeoutMs: random() < 0.4 ? Math.ceil(random() * 25) : 10_000,
        })),
    );
    try {
      for (let round = 0; round < 50; round += 1) {
        await Promise.all(clients.map((honest) => honest.refresh()));
        // Between two refreshes of a session lie minutes, and a statement whose client has given up lives seconds.
        await eventually(() => proxy.isQuiet(), { withinMs: 5_000 });
      }
    } finally {
      await other.stop();
    }
    expect(clients.map((honest) => honest.signedOutBy)).toEqual(clients.map(() => undefined));
    expect(proxy.cuts).toBeGreaterThan(50);
    for (const honest of clients) {
      // One generation per refresh that the client knows of: none was skipped, none counted twice.
      expect(await familyOf(honest.pair)).toEqual([{ generation: 51, revoke_reason: null }]);
    }
  });

  it('says outcome_unknown when it cannot learn it in time, and the retry with the same key gets the successor', async () => {
    const { pair, ...account } = await client.signUpAndIn();
    const never = await client.signIn(account);
    const key = newIdempotencyKey();
    proxy.cutNext(ROTATION, 'after');
    const isCut = proxy.nextCut();
    const unknown = client.refresh(pair.refresh_token, key);
    await isCut;
    proxy.refuse();
    await eventually(async () => (await client.get('/health/ready')).status === 503, { withinMs: 5_000 });
    // Nothing was sent for this one, so nothing can have been done.
    expectUnavailable(await client.refresh(never.refresh_token), 'temporarily_unavailable');
    expectUnavailable(await unknown, 'outcome_unknown');
    expect(await familyOf(pair)).toEqual([{ generation: 2, revoke_reason: null }]);
    expect(await familyOf(never)).toEqual([{ generation: 1, revoke_reason: null }]);

    proxy.cutWhen(() => undefined);
    await proxy.resume();
    await client.rotate(never.refresh_token);
    const retried = await client.rotate(pair.refresh_token, key);
    expect(await familyOf(pair)).toEqual([{ generation: 2, revoke_reason: null }]);
    await client.rotate(retried.refresh_token);
  });

  it('says outcome_unknown when it cannot sign what it has committed, and the retry gets the successor', async () => {
    const { pair } = await client.signUpAndIn();
    const key = newIdempotencyKey();
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
      sessionIdOf(pair),
    ]);
    const refreshing = client.refresh(pair.refresh_token, key);
    await lock.untilWaiting(1);
    await database.sql('create table kept_keys as select * from signing_keys');
    await database.sql('delete from signing_keys');
    await service.app.get(KeysService).reload();
    await lock.release();
    expectUnavailable(await refreshing, 'outcome_unknown');
    // Now it knows before the commit that it cannot sign.
    expectUnavailable(await client.refresh(pair.refresh_token, key), 'temporarily_unavailable');
    expect(await familyOf(pair)).toEqual([{ generation: 2, revoke_reason: null }]);

    await database.sql('insert into signing_keys select * from kept_keys');
    await database.sql('drop table kept_keys');
    await service.app.get(KeysService).reload();
    await client.rotate((await client.rotate(pair.refresh_token, key)).refresh_token);
  });

  it('a logout of two sessions says outcome_unknown when it has ended one and cannot end the other', async () => {
    const [first, second] = [await newSession(), await newSession()];
    await database.sql(`
      create function refuse_end() returns trigger language plpgsql as
        $$ begin raise exception using errcode = '53200'; end $$`);
    await database.sql(`
      create trigger refuse_end before update on refresh_token_families for each row
      when (old.id = '${sessionIdOf(second)}') execute function refuse_end()`);
    const logout = (): ReturnType<TestClient['logout']> =>
      client.logout({ refreshToken: first.refresh_token, accessToken: second.access_token });
    expectUnavailable(await logout(), 'outcome_unknown');
    expectUnavailable(await client.logout({ accessToken: second.access_token }), 'temporarily_unavailable');
    expect(await familyOf(first)).toEqual([{ generation: 1, revoke_reason: 'logout' }]);
    await database.sql('drop function refuse_end() cascade');
    expect((await logout()).status).toBe(204);
    expect(await familyOf(second)).toEqual([{ generation: 1, revoke_reason: 'logout' }]);
  });

  it('a refresh that waits too long for a connection is dropped, and one that hangs in the network settled', async () => {
    const narrow = await startService(proxy, { DATABASE_POOL_SIZE: '1' });
    const { pair: sent } = await client.signUpAndIn();
    const { pair: waiting } = await client.signUpAndIn();
    const key = newIdempotencyKey();

    let isSent = false;
    proxy.cutWhen((statement) => {
      if (ROTATION.test(statement)) {
        isSent = true;
        // This statement still passes; its answer is stuck.
        proxy.freeze();
      }
      return undefined;
    });
    const stuck = narrow.client.refresh(sent.refresh_token, key);
    await eventually(() => isSent, { withinMs: 5_000 });
    expectUnavailable(await narrow.client.refresh(waiting.refresh_token), 'temporarily_unavailable');
    expectUnavailable(await stuck, 'outcome_unknown');
    proxy.cutWhen(() => undefined);
    await proxy.resume();
    expect(await familyOf(waiting)).toEqual([{ generation: 1, revoke_reason: null }]);
    await narrow.client.rotate(waiting.refresh_token);
    await narrow.client.rotate(sent.refresh_token, key);
    expect(await familyOf(sent)).toEqual([{ generation: 2, revoke_reason: null }]);
    await narrow.stop();
  });

  it('a refresh whose client hangs up before its statement is sent is dropped', async () => {
    const narrow = await startService(database, { DATABASE_POOL_SIZE: '1' });
    const [blocked, abandoned, last] = await Promise.all([newSession(), newSession(), newSession()]);
    const holder = new Client({ connectionString: database.url });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query('select 1 from refresh_token_families where id = $1 for update', [sessionIdOf(blocked)]);

      // The only connection waits for the row, so the next refresh waits for the connection.
      const first = narrow.client.refresh(blocked.refresh_token);
      await eventually(async () => (await lockWaiters()) === 1, { withinMs: 4_000 });
      const socket = await sendRefresh(narrow.url, abandoned.refresh_token);
      await eventually(() => waitersForConnection(narrow) === 1, { withinMs: 4_000 });
      const connections = await openConnections(narrow);
      socket.destroy();
      await eventually(async () => (await openConnections(narrow)) === connections - 1, { withinMs: 4_000 });
      const second = narrow.client.refresh(last.refresh_token);
      await holder.query('commit');
      expect((await first).status).toBe(200);
      // Connections are given out in order: when this one has been served, the abandoned one has had its turn.
      expect((await second).status).toBe(200);
    } finally {
      await holder.end();
    }
    expect(await familyOf(abandoned)).toEqual([{ generation: 1, revoke_reason: null }]);
    await narrow.client.rotate(abandoned.refresh_token);
    await narrow.stop();
  });

  async function newSession(): Promise<TokenPair> {
    return (await client.signUpAndIn()).pair;
  }

  async function lockWaiters(): Promise<number> {
    const rows = await database.sql(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length;
  }
});

/** How many requests wait for one of the instance's database connections. */
function waitersForConnection(service: TestService): number {
  return service.app.get(Pool).waitingCount;
}

/** A small seeded generator of numbers from 0 up to 1, so that a failure can be looked at again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
