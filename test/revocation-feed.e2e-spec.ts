import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Client } from 'pg';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { eventually } from './support/eventually.js';
import { askGuard } from './support/guard-probe.js';
import { holdLock } from './support/held-lock.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { ENDINGS, MAX_SESSIONS } from './support/session-endings.js';
import { COMMIT, ROTATION } from './support/statements.js';
import { type Account, newPassword, sessionIdOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

/** What every other instance is promised. */
const BOUND_MS = 1_000;

describe('the end of a session reaches access tokens', () => {
  const environment = { MAX_SESSIONS_PER_USER: String(MAX_SESSIONS) };
  const database = useDatabase();
  /** Between one instance and its database, except for its feed. */
  const line = useProxy(database);
  /** Between one instance's feed and the database. While it is frozen, the instance knows only what it did itself. */
  const deafLine = useProxy(database);
  const near = useInstance(database, environment);
  const far = useInstance(database, environment);
  let deaf: TestService;

  beforeAll(async () => {
    deaf = await startService(line, {
      ...environment,
      DATABASE_DIRECT_URL: deafLine.url,
      REVOCATION_MAX_STALENESS_SECONDS: '60',
    });
  });

  afterEach(async () => {
    line.cutWhen(() => undefined);
    await deafLine.resume();
  });

  afterAll(() => deaf.stop());

  it.each(ENDINGS)('invariant 4: $name: every other instance refuses them within a second', async ({ end }) => {
    const { pair, ...account } = await near.client.signUpAndIn();
    expect((await askGuard(far.client, pair.access_token)).status).toBe(400);
    const refused = await end(near, account, pair);
    for (const token of refused) {
      expectProblem(await askGuard(near.client, token), 'access_token_revoked');
    }
    await expectRefusedWithin(BOUND_MS, far, refused);
  });

  it.each(ENDINGS)('invariant 4: $name: the instance that did it refuses them at once', async ({ end }) => {
    const { pair, ...account } = await deaf.client.signUpAndIn();
    expect((await askGuard(deaf.client, pair.access_token)).status).toBe(400);
    deafLine.freeze();
    for (const token of await end(deaf, account, pair)) {
      expectProblem(await askGuard(deaf.client, token), 'access_token_revoked');
    }
  });

  it.each(ENDINGS.filter(({ commit }) => commit !== undefined))(
    'invariant 4: $name: also when the answer to its commit was lost',
    async ({ end, commit }) => {
      const { pair, ...account } = await deaf.client.signUpAndIn();
      deafLine.freeze();
      line.cuts = 0;
      line.cutNext(commit!, 'after');
      for (const token of await end(deaf, account, pair)) {
        expectProblem(await askGuard(deaf.client, token), 'access_token_revoked');
      }
      expect(line.cuts).toBe(1);
    },
  );

  describe('invariant 4: what another instance has ended already, this one refuses at once after', () => {
    it.each<[string, (account: Account, pair: TokenPair) => Promise<unknown>]>([
      ['a logout from everywhere', (_, pair) => deaf.client.logoutAll(pair.access_token)],
      ['a logout by access token', (_, pair) => deaf.client.logout({ accessToken: pair.access_token })],
      ['disabling the account', ({ id }) => deaf.app.get(AccountsService).disable(id)],
      ["an operator's end of all sessions", ({ id }) => deaf.app.get(AccountsService).endSessions(id)],
      ["an operator's new password", ({ id }) => deaf.app.get(AccountsService).setPassword(id, newPassword())],
      ['deleting the account', ({ id }) => deaf.app.get(AccountsService).delete(id)],
      ['a refresh', (_, pair) => deaf.client.refresh(pair.refresh_token)],
      [
        'a password change',
        async (account) =>
          deaf.client.changePassword((await deaf.client.signIn(account)).access_token, account.password, newPassword()),
      ],
    ])('%s', async (_, act) => {
      const { pair, ...account } = await deaf.client.signUpAndIn();
      const other = await deaf.client.signIn(account);
      deafLine.freeze();
      for (const { refresh_token } of [pair, other]) {
        expect((await near.client.logout({ refreshToken: refresh_token })).status).toBe(204);
      }
      expect((await askGuard(deaf.client, pair.access_token)).status).toBe(400);
      await act(account, pair);
      expectProblem(await askGuard(deaf.client, pair.access_token), 'access_token_revoked');
    });
  });

  it('invariant 4: a session that one call ends while another waits for the account is refused at once', async () => {
    const { pair, ...account } = await deaf.client.signUpAndIn();
    deafLine.freeze();
    const lock = await holdLock(database, 'select 1 from users where id = $1 for update', [account.id]);
    const endingAll = deaf.client.logoutAll(pair.access_token);
    await lock.untilWaiting(1);
    await near.client.logout({ refreshToken: pair.refresh_token });
    await lock.release();
    expect((await endingAll).status).toBe(204);
    expectProblem(await askGuard(deaf.client, pair.access_token), 'access_token_revoked');
  });

  it('invariant 4: a reuse is refused at once also when the answer to its commit was lost', async () => {
    const { pair } = await deaf.client.signUpAndIn();
    const next = await deaf.client.rotate(pair.refresh_token);
    deafLine.freeze();
    line.cutNext(ROTATION, 'after');
    expectProblem(await deaf.client.refresh(pair.refresh_token), 'refresh_token_reused');
    expectProblem(await askGuard(deaf.client, next.access_token), 'access_token_revoked');
  });

  it('invariant 4: a session over the limit is refused at once also when the answer to that commit was lost', async () => {
    const { pair, ...account } = await deaf.client.signUpAndIn();
    for (let count = 1; count < MAX_SESSIONS; count += 1) {
      await deaf.client.signIn(account);
    }
    deafLine.freeze();
    line.cutNext(COMMIT, 'after');
    await deaf.client.signIn(account);
    expectProblem(await askGuard(deaf.client, pair.access_token), 'access_token_revoked');
  });

  it('an instance that starts later knows of the ends before it', async () => {
    const { pair } = await near.client.signUpAndIn();
    await near.client.logout({ refreshToken: pair.refresh_token });
    const late = await startService(database);
    const answer = await askGuard(late.client, pair.access_token);
    await late.stop();
    expectProblem(answer, 'access_token_revoked');
  });
});

describe('the revocation feed of an instance', () => {
  let database: TestDatabase;
  let line: PostgresProxy;
  let near: TestService;
  let far: TestService;

  beforeEach(async () => {
    database = await createTestDatabase();
    line = await PostgresProxy.start(database.url);
    near = await startService(database);
  });

  afterEach(async () => {
    await line.resume();
    await Promise.all([near.stop(), far.stop()]);
    await line.close();
    await database.close();
  });

  it('keeps the promise by polling alone when no notification arrives', async () => {
    line.dropNotifications();
    far = await startService(line);
    for (let round = 0; round < 3; round += 1) {
      const { pair } = await near.client.signUpAndIn();
      await near.client.logout({ refreshToken: pair.refresh_token });
      await expectRefusedWithin(BOUND_MS, far, [pair.access_token]);
    }
  });

  it('keeps the promise while its connection is being terminated again and again', async () => {
    far = await startService(database);
    for (let round = 0; round < 5; round += 1) {
      const { pair } = await near.client.signUpAndIn();
      await terminateFeeds();
      await near.client.logout({ refreshToken: pair.refresh_token });
      await terminateFeeds();
      await expectRefusedWithin(BOUND_MS, far, [pair.access_token]);
    }
  });

  it('sees a revocation that was stamped early and committed late, after a later one has been seen', async () => {
    far = await startService(database);
    const { pair: early } = await near.client.signUpAndIn();
    const { pair: later } = await near.client.signUpAndIn();
    const holder = new Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('begin');
    await holder.query(
      `update refresh_token_families
       set revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id(), revoke_reason = 'logout' where id = $1`,
      [sessionIdOf(early)],
    );
    await near.client.logout({ refreshToken: later.refresh_token });
    await expectRefusedWithin(BOUND_MS, far, [later.access_token]);
    await untilPolledAgain(3);
    expect((await askGuard(far.client, early.access_token)).status).toBe(400);

    await holder.query('commit');
    await holder.end();
    await expectRefusedWithin(BOUND_MS, far, [early.access_token]);
    await expectRefusedWithin(BOUND_MS, near, [early.access_token]);
  });

  it('catches up with what it missed while it was cut off', async () => {
    far = await startService(line);
    const { pair } = await near.client.signUpAndIn();
    line.refuse();
    await near.client.logout({ refreshToken: pair.refresh_token });
    expect((await askGuard(far.client, pair.access_token)).status).toBe(400);
    await line.resume();
    await expectRefusedWithin(BOUND_MS, far, [pair.access_token]);
  });

  it('believes no token longer than REVOCATION_MAX_STALENESS_SECONDS after the database has fallen silent', async () => {
    far = await startService(line, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
    const { pair } = await near.client.signUpAndIn();
    line.freeze();
    await near.client.logout({ refreshToken: pair.refresh_token });
    const acknowledgedAtMs = performance.now();
    let lastBelievedAtMs = acknowledgedAtMs;
    await eventually(
      async () => {
        const askedAtMs = performance.now();
        const response = await askGuard(far.client, pair.access_token);
        if (response.status === 400) {
          lastBelievedAtMs = askedAtMs;
        }
        return response.status === 503;
      },
      { withinMs: 5_000 },
    );
    expect(lastBelievedAtMs - acknowledgedAtMs).toBeLessThan(BOUND_MS);
    // It stays so: the silence does not wear off.
    expectUnavailable(await askGuard(far.client, pair.access_token), 'temporarily_unavailable');
    expectUnavailable(await far.client.get('/health/ready'), 'temporarily_unavailable');

    await line.resume();
    await eventually(async () => (await askGuard(far.client, pair.access_token)).status !== 503, { withinMs: 5_000 });
    expectProblem(await askGuard(far.client, pair.access_token), 'access_token_revoked');
  });

  it('does not ask the database for each request that finds it stale', async () => {
    far = await startService(line, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
    const { pair } = await near.client.signUpAndIn();
    line.freeze();
    await eventually(async () => (await askGuard(far.client, pair.access_token)).status === 503, { withinMs: 5_000 });
    const statements: string[] = [];
    line.cutWhen((statement) => {
      statements.push(statement);
      return undefined;
    });
    const startedAtMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 50 }, () => askGuard(far.client, pair.access_token)));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 503));
    // Each waits a tenth of a second for the poll under way, all at the same time.
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
    await line.resume();
    await eventually(() => statements.length > 0, { withinMs: 5_000 });
    expect(statements.length).toBeLessThan(10);
  });

  async function terminateFeeds(): Promise<void> {
    await database.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'ratchet revocations'`,
    );
  }

  /** Until every feed has begun that many polls from now on. */
  async function untilPolledAgain(polls: number): Promise<void> {
    for (let count = 0; count < polls; count += 1) {
      const [start] = await database.sql<{ at: Date }>('select clock_timestamp() as at');
      await eventually(
        async () => {
          const feeds = await database.sql<{ has_polled: boolean }>(
            `select query_start > $1 as has_polled from pg_stat_activity
             where datname = current_database() and application_name = 'ratchet revocations'`,
            [start!.at],
          );
          return feeds.length === 2 && feeds.every((feed) => feed.has_polled);
        },
        { withinMs: 3_000 },
      );
    }
  }
});

async function expectRefusedWithin(
  withinMs: number,
  instance: TestService,
  accessTokens: readonly string[],
): Promise<void> {
  for (const token of accessTokens) {
    await eventually(async () => (await askGuard(instance.client, token)).status === 401, { withinMs });
    expectProblem(await askGuard(instance.client, token), 'access_token_revoked');
  }
}
