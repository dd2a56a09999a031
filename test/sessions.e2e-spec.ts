import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import request from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { TombstoneCleanerService } from '../src/tokens/tombstone-cleaner.service.js';
import { openConnections } from './support/abandoned-refresh.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { type Account, sessionIdOf, type TokenPair, newPassword, pairOf } from './support/test-client.js';
import { recordStatements } from './support/statement-log.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const DAY_SECONDS = 86_400;
const SESSION_SECONDS = 30 * DAY_SECONDS;
const IDLE_SECONDS = 14 * DAY_SECONDS;

interface SessionBody {
  readonly id: string;
  readonly current: boolean;
  readonly created_at: string;
  readonly last_used_at: string;
  readonly expires_at: string;
  readonly ip_address: string | null;
  readonly user_agent: string | null;
}

describe('sessions', () => {
  const database = useDatabase();
  const service = useInstance(database);
  const otherInstance = useInstance(database);

  async function list(pair: TokenPair): Promise<SessionBody[]> {
    const response = await service.client.sessions(pair.access_token);
    expect(response.status).toBe(200);
    return (response.body as { sessions: SessionBody[] }).sessions;
  }

  async function reasonOf(sessionId: string): Promise<string | null | undefined> {
    const [row] = await database.sql<{ revoke_reason: string | null }>(
      'select revoke_reason from refresh_token_families where id = $1',
      [sessionId],
    );
    return row?.revoke_reason;
  }

  async function signInAs(account: Account, userAgent: string): Promise<TokenPair> {
    const response = await service.client.post(
      '/auth/login',
      { email: account.email, password: account.password },
      { 'user-agent': userAgent },
    );
    return response.body as TokenPair;
  }

  describe('the list', () => {
    it('shows the live sessions, the last used first, and marks the one that asks', async () => {
      const account = await service.client.signUp();
      const first = await signInAs(account, 'first browser');
      const second = await signInAs(account, 'second browser');
      const third = await signInAs(account, 'x'.repeat(300));
      await ageSession(database, sessionIdOf(first), 100);
      await ageSession(database, sessionIdOf(second), 50);
      const rows = await database.sql<{ id: string; created_at: Date; rotated_at: Date; expires_at: Date }>(
        'select id, created_at, rotated_at, expires_at from refresh_token_families where user_id = $1',
        [account.id],
      );
      const bodyOf = (pair: TokenPair, userAgent: string, current: boolean): SessionBody => {
        const row = rows.find(({ id }) => id === sessionIdOf(pair))!;
        return {
          id: row.id,
          current,
          created_at: row.created_at.toISOString(),
          last_used_at: row.rotated_at.toISOString(),
          expires_at: row.expires_at.toISOString(),
          ip_address: '127.0.0.1',
          user_agent: userAgent,
        };
      };

      const response = await otherInstance.client.sessions(second.access_token);
      expect(response.status).toBe(200);
      expect(response.headers['cache-control']).toBe('no-store');
      expect(response.body).toEqual({
        sessions: [
          bodyOf(third, 'x'.repeat(256), false),
          bodyOf(second, 'second browser', true),
          bodyOf(first, 'first browser', false),
        ],
      });
      for (const { created_at, expires_at } of rows) {
        expect(expires_at.getTime() - created_at.getTime()).toBe(SESSION_SECONDS * 1000);
      }
    });

    it('follows a refresh: last use, address and browser move, beginning and end do not', async () => {
      const account = await service.client.signUp();
      const pair = await signInAs(account, 'old browser');
      await ageSession(database, sessionIdOf(pair), 100);
      const [before] = await list(pair);
      const refreshed = await service.client.post(
        '/auth/refresh',
        { refresh_token: pair.refresh_token },
        { 'user-agent': 'new browser' },
      );
      expect(refreshed.status).toBe(200);
      const sessions = await list(pair);
      expect(sessions).toEqual([{ ...before, last_used_at: expect.any(String), user_agent: 'new browser' }]);
      const movedMs = Date.parse(sessions[0]!.last_used_at) - Date.parse(before!.last_used_at);
      expect(movedMs).toBeGreaterThanOrEqual(100_000);
    });

    it('leaves out the sessions that have ended, expired or been idle too long, and those of others', async () => {
      const account = await service.client.signUp();
      const [live, ended, expired, idle] = await Promise.all(
        Array.from({ length: 4 }, () => service.client.signIn(account)),
      );
      await service.client.signUpAndIn();
      await service.client.logout({ refreshToken: ended!.refresh_token });
      await ageSession(database, sessionIdOf(expired!), SESSION_SECONDS);
      await database.sql('update refresh_token_families set rotated_at = now() where id = $1', [sessionIdOf(expired!)]);
      await ageSession(database, sessionIdOf(idle!), IDLE_SECONDS);
      expect((await list(live!)).map(({ id }) => id)).toEqual([sessionIdOf(live!)]);
    });
  });

  describe('ending one', () => {
    it('invariant 4: ends it for good, whichever session of the user asks and however often', async () => {
      const account = await service.client.signUp();
      const [mine, other] = [await service.client.signIn(account), await service.client.signIn(account)];
      for (const instance of [service, otherInstance, service]) {
        const response = await instance.client.endSession(mine.access_token, sessionIdOf(other));
        expect(response.status).toBe(204);
        expect(response.text).toBe('');
      }
      expectProblem(await otherInstance.client.refresh(other.refresh_token), 'session_revoked');
      expectProblem(await service.client.me(other.access_token), 'access_token_revoked');
      expect((await list(mine)).map(({ id }) => id)).toEqual([sessionIdOf(mine)]);
      expect(await reasonOf(sessionIdOf(other))).toBe('session_ended');
    });

    it('ends the one that asks, too', async () => {
      const { pair } = await service.client.signUpAndIn();
      expect((await service.client.endSession(pair.access_token, sessionIdOf(pair))).status).toBe(204);
      expectProblem(await service.client.sessions(pair.access_token), 'access_token_revoked');
    });

    it('keeps the reason for which a session ended first', async () => {
      const account = await service.client.signUpAndIn();
      const other = await service.client.signIn(account);
      await service.client.logout({ refreshToken: other.refresh_token });
      expect((await service.client.endSession(account.pair.access_token, sessionIdOf(other))).status).toBe(204);
      expect(await reasonOf(sessionIdOf(other))).toBe('logout');
    });

    it('knows a session by its id in capitals, too', async () => {
      const { pair } = await service.client.signUpAndIn();
      const response = await service.client.endSession(pair.access_token, sessionIdOf(pair).toUpperCase());
      expect(response.status).toBe(204);
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    });

    it("answers alike for another user's session, an unknown one and what is no id", async () => {
      const { pair } = await service.client.signUpAndIn();
      const { pair: foreign } = await service.client.signUpAndIn();
      const ids = [
        sessionIdOf(foreign),
        UNKNOWN_ID,
        'me',
        '1',
        `{${sessionIdOf(pair)}}`,
        "'; drop table users; --",
        '%00',
        '%F0%9F%92%A9',
      ];
      for (const id of ids) {
        expectProblem(await service.client.endSession(pair.access_token, id), 'not_found');
      }
      expect((await service.client.refresh(foreign.refresh_token)).status).toBe(200);
    });
  });

  it('are named, with their user, in the log lines of the requests that know them', async () => {
    const { id, pair, ...account } = await service.client.signUpAndIn();
    const sessionId = sessionIdOf(pair);
    await service.client.sessions(pair.access_token);
    const next = await service.client.rotate(pair.refresh_token);
    await service.client.me(next.access_token);
    await service.client.login({ email: account.email, password: newPassword() });
    await service.client.logout({ refreshToken: next.refresh_token });
    await service.client.refresh(next.refresh_token);
    await service.client.me(next.access_token);
    const lineOf = (path: string, status: number): Record<string, unknown> | undefined =>
      service.logs.findLast((line) => line['path'] === path && line['status'] === status);
    await eventually(() => lineOf('/auth/me', 401)?.['session_id'] === sessionId, { withinMs: 5_000 });
    const both = { user_id: id, session_id: sessionId };
    const known = [
      ['/auth/login', 200, both],
      ['/auth/sessions', 200, both],
      ['/auth/refresh', 200, both],
      ['/auth/me', 200, both],
      ['/auth/login', 401, {}],
      // A refresh token names its session only.
      ['/auth/logout', 204, { session_id: sessionId }],
      ['/auth/refresh', 401, { session_id: sessionId }],
      ['/auth/me', 401, both],
    ] as const;
    for (const [path, status, expected] of known) {
      const { user_id, session_id } = lineOf(path, status) ?? {};
      expect({ path, status, user_id, session_id }).toEqual({ path, status, ...expected });
    }
  });

  describe('logout', () => {
    it.each(['the current', 'an earlier'])(
      'takes %s refresh token, and repeated it is a success again',
      async (which) => {
        const account = await service.client.signUpAndIn();
        const bystander = await service.client.signIn(account);
        const current = await service.client.rotate(account.pair.refresh_token);
        const refreshToken = which === 'the current' ? current.refresh_token : account.pair.refresh_token;
        for (const instance of [service, otherInstance]) {
          const response = await instance.client.logout({ refreshToken });
          expect(response.status).toBe(204);
          expect(response.text).toBe('');
        }
        expectProblem(await otherInstance.client.refresh(current.refresh_token), 'session_revoked');
        expectProblem(await service.client.me(current.access_token), 'access_token_revoked');
        expect(await reasonOf(sessionIdOf(current))).toBe('logout');
        expect((await service.client.refresh(bystander.refresh_token)).status).toBe(200);
      },
    );

    it('takes an access token, and repeated it is a success although the session has ended', async () => {
      const { pair } = await service.client.signUpAndIn();
      for (const instance of [service, otherInstance, service]) {
        expect((await instance.client.logout({ accessToken: pair.access_token })).status).toBe(204);
      }
      expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    });

    it('takes an access token without any body at all', async () => {
      const { pair } = await service.client.signUpAndIn();
      const response = await request(service.url)
        .post('/auth/logout')
        .set('authorization', `Bearer ${pair.access_token}`);
      expect(response.status).toBe(204);
      expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
    });

    it('takes both tokens of one session', async () => {
      const { pair } = await service.client.signUpAndIn();
      const response = await service.client.logout({
        refreshToken: pair.refresh_token,
        accessToken: pair.access_token,
      });
      expect(response.status).toBe(204);
      expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
    });

    it('ends both sessions when the two tokens are of different ones', async () => {
      const account = await service.client.signUpAndIn();
      const other = await service.client.signIn(account);
      const response = await service.client.logout({
        refreshToken: account.pair.refresh_token,
        accessToken: other.access_token,
      });
      expect(response.status).toBe(204);
      for (const pair of [account.pair, other]) {
        expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
        expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
      }
    });

    it('ends nothing when one of the two tokens is rubbish', async () => {
      const { pair } = await service.client.signUpAndIn();
      const rubbish = `rt1.${'A'.repeat(92)}`;
      const withRubbishBody = await service.client.logout({ refreshToken: rubbish, accessToken: pair.access_token });
      expectProblem(withRubbishBody, 'refresh_token_invalid');
      const withRubbishHeader = await service.client.logout({ refreshToken: pair.refresh_token, accessToken: 'x.y.z' });
      expectProblem(withRubbishHeader, 'access_token_invalid');
      expect(await reasonOf(sessionIdOf(pair))).toBeNull();
    });

    it('is a success for an expired session and for one that has been cleaned up', async () => {
      const { pair: expired } = await service.client.signUpAndIn();
      await ageSession(database, sessionIdOf(expired), SESSION_SECONDS);
      expect((await service.client.logout({ refreshToken: expired.refresh_token })).status).toBe(204);

      const { pair: deleted } = await service.client.signUpAndIn();
      await database.sql('delete from refresh_token_families where id = $1', [sessionIdOf(deleted)]);
      expect((await service.client.logout({ refreshToken: deleted.refresh_token })).status).toBe(204);
      expect((await service.client.logout({ accessToken: deleted.access_token })).status).toBe(204);
    });

    it('is a success for an account that has been disabled or deleted', async () => {
      const disabled = await service.client.signUpAndIn();
      await service.app.get(AccountsService).disable(disabled.id);
      expect((await service.client.logout({ refreshToken: disabled.pair.refresh_token })).status).toBe(204);
      expect(await reasonOf(sessionIdOf(disabled.pair))).toBe('user_disabled');

      const deleted = await service.client.signUpAndIn();
      await service.app.get(AccountsService).delete(deleted.id);
      expect((await service.client.logout({ accessToken: deleted.pair.access_token })).status).toBe(204);
    });

    it.each(['', 'rubbish', `rt1.${'A'.repeat(92)}`, `rt1.${'A'.repeat(91)}`])(
      'refuses %j for a refresh token',
      async (refreshToken) => {
        expectProblem(await service.client.logout({ refreshToken }), 'refresh_token_invalid');
      },
    );

    it('refuses a refresh token whose last character has been changed, and ends nothing', async () => {
      const { pair } = await service.client.signUpAndIn();
      const last = pair.refresh_token.endsWith('A') ? 'B' : 'A';
      const refreshToken = pair.refresh_token.slice(0, -1) + last;
      expectProblem(await service.client.logout({ refreshToken }), 'refresh_token_invalid');
      expect(await reasonOf(sessionIdOf(pair))).toBeNull();
    });

    it('ends nothing for a body that is not of the documented shape', async () => {
      const { pair } = await service.client.signUpAndIn();
      const { refresh_token } = pair;
      expectProblem(await service.client.post('/auth/logout', { refresh_token, all: true }), 'validation_failed', [
        { field: 'all', message: 'is not a member of this request' },
      ]);
      expectProblem(
        await service.client.post('/auth/logout', { refresh_token: [refresh_token] }),
        'validation_failed',
        [{ field: 'refresh_token', message: 'must be a string' }],
      );
      expect(await reasonOf(sessionIdOf(pair))).toBeNull();
    });

    it('asks for one of the two tokens', async () => {
      const errors = [{ field: 'refresh_token', message: 'must be sent, or an access token as Authorization: Bearer' }];
      expectProblem(await service.client.logout({}), 'validation_failed', errors);
      expectProblem(await request(service.url).post('/auth/logout'), 'validation_failed', errors);
      const withOtherScheme = await service.client.post('/auth/logout', {}, { authorization: 'Basic YTpi' });
      expectProblem(withOtherScheme, 'validation_failed', errors);
    });
  });

  describe('logging out everywhere', () => {
    it('invariant 4: ends every session of the user on every instance, and no other', async () => {
      const account = await service.client.signUpAndIn();
      const others = [await otherInstance.client.signIn(account), await service.client.signIn(account)];
      const { pair: bystander } = await service.client.signUpAndIn();
      const response = await service.client.logoutAll(account.pair.access_token);
      expect(response.status).toBe(204);
      expect(response.text).toBe('');
      for (const pair of [account.pair, ...others]) {
        expectProblem(await otherInstance.client.refresh(pair.refresh_token), 'session_revoked');
        expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
        expect(await reasonOf(sessionIdOf(pair))).toBe('logout_all');
      }
      expect((await service.client.me(bystander.access_token)).status).toBe(200);
      expect((await service.client.refresh(bystander.refresh_token)).status).toBe(200);
    });

    it('still works with a token whose own session has ended', async () => {
      const account = await service.client.signUpAndIn();
      const stolen = await service.client.signIn(account);
      await service.client.logout({ refreshToken: account.pair.refresh_token });
      expect((await service.client.logoutAll(account.pair.access_token)).status).toBe(204);
      expectProblem(await service.client.refresh(stolen.refresh_token), 'session_revoked');
      expect((await service.client.logoutAll(account.pair.access_token)).status).toBe(204);
    });

    it('leaves the sessions alone that were opened since the session of its token ended', async () => {
      const account = await service.client.signUpAndIn();
      const earlier = await service.client.signIn(account);
      await service.client.logout({ refreshToken: account.pair.refresh_token });
      const later = await otherInstance.client.signIn(account);
      expect((await service.client.logoutAll(account.pair.access_token)).status).toBe(204);
      expect(await reasonOf(sessionIdOf(earlier))).toBe('logout_all');
      expect(await reasonOf(sessionIdOf(later))).toBeNull();
      expect((await service.client.me(later.access_token)).status).toBe(200);
    });

    it('leaves the session alone that took the place of its own', async () => {
      const account = await service.client.signUpAndIn();
      const { refresh_token } = pairOf(
        await service.client.changePassword(account.pair.access_token, account.password, newPassword()),
      );
      expect((await service.client.logoutAll(account.pair.access_token)).status).toBe(204);
      expect((await service.client.refresh(refresh_token)).status).toBe(200);
    });

    it('needs an access token', async () => {
      const { pair } = await service.client.signUpAndIn();
      expectProblem(await request(service.url).post('/auth/logout-all'), 'access_token_missing');
      expectProblem(await service.client.logoutAll(pair.refresh_token), 'access_token_invalid');
      expect(await reasonOf(sessionIdOf(pair))).toBeNull();
    });
  });
});

describe('the session limit', () => {
  let database: TestDatabase;
  let service: TestService;
  let otherInstance: TestService;

  beforeAll(async () => {
    database = await createTestDatabase();
    const limit = { MAX_SESSIONS_PER_USER: '3' };
    [service, otherInstance] = await Promise.all([startService(database, limit), startService(database, limit)]);
  });

  afterAll(async () => {
    await Promise.all([service.stop(), otherInstance.stop()]);
    await database.close();
  });

  it('ends the session that has gone longest without a refresh, and its access token', async () => {
    const account = await service.client.signUp();
    const [first, second, third] = [
      await service.client.signIn(account),
      await service.client.signIn(account),
      await service.client.signIn(account),
    ];
    const refreshed = await service.client.rotate(first.refresh_token);
    const fourth = await service.client.signIn(account);
    expectProblem(await service.client.me(second.access_token), 'access_token_revoked');
    expectProblem(await otherInstance.client.refresh(second.refresh_token), 'session_revoked');
    for (const pair of [refreshed, third, fourth]) {
      expect((await otherInstance.client.refresh(pair.refresh_token)).status).toBe(200);
    }
    const evicted = await database.sql('select id from refresh_token_families where revoke_reason = $1', [
      'session_limit',
    ]);
    expect(evicted).toEqual([{ id: sessionIdOf(second) }]);
  });

  it('does not count sessions that have ended or been idle too long, and leaves them as they are', async () => {
    const account = await service.client.signUp();
    const [live, idle, ended, last] = [
      await service.client.signIn(account),
      await service.client.signIn(account),
      await service.client.signIn(account),
      await service.client.signIn(account),
    ];
    expectProblem(await service.client.refresh(live.refresh_token), 'session_revoked');
    await ageSession(database, sessionIdOf(idle), IDLE_SECONDS);
    await service.client.logout({ refreshToken: ended.refresh_token });
    const newest = [await service.client.signIn(account), await service.client.signIn(account)];
    for (const pair of [last, ...newest]) {
      expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
    }
    expectProblem(await service.client.refresh(idle.refresh_token), 'session_expired');
  });

  it('is never exceeded, not even for a moment, by 20 logins that race over two instances', async () => {
    const account = await service.client.signUp();
    let mostAtOnce = 0;
    const race = { isOver: false };
    const countLive = async (): Promise<number> => {
      const [row] = await database.sql<{ count: number }>(
        'select count(*)::integer as count from refresh_token_families where user_id = $1 and revoked_at is null',
        [account.id],
      );
      return row!.count;
    };
    const watching = (async () => {
      while (!race.isOver) {
        mostAtOnce = Math.max(mostAtOnce, await countLive());
      }
    })();
    const pairs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? service : otherInstance).client.signIn(account)),
    );
    race.isOver = true;
    await watching;
    expect(mostAtOnce).toBeLessThanOrEqual(3);
    expect(await countLive()).toBe(3);
    const refreshes = await Promise.all(pairs.map((pair) => service.client.refresh(pair.refresh_token)));
    expect(refreshes.filter(({ status }) => status === 200)).toHaveLength(3);
    for (const response of refreshes.filter(({ status }) => status !== 200)) {
      expectProblem(response, 'session_revoked');
    }
  });
});

describe('tombstones', () => {
  /** The longest access token, and two minutes more. */
  const TOMBSTONE_SECONDS = 3_720;

  const { database, service } = useService();
  let cleaner: TombstoneCleanerService;

  beforeAll(() => {
    cleaner = service.app.get(TombstoneCleanerService);
  });

  /** Families as they look that long after their absolute end. */
  async function plantFamilies(count: number, secondsAfterEnd: number): Promise<string[]> {
    const rows = await database.sql<{ id: string }>(
      `insert into refresh_token_families
         (id, user_id, secret_hash, generation, key_id, rotated_at, created_at, expires_at)
       select gen_random_uuid(), gen_random_uuid(), '', 1, 0, ended_at - interval '30 days', ended_at - interval '30 days', ended_at
       from generate_series(1, $1), (select now() - make_interval(secs => $2) as ended_at) as ending
       returning id`,
      [count, secondsAfterEnd],
    );
    return rows.map(({ id }) => id);
  }

  async function countLeft(ids: readonly string[]): Promise<number> {
    const rows = await database.sql('select id from refresh_token_families where id = any($1)', [ids]);
    return rows.length;
  }

  it('stay until an hour and two minutes after the absolute end, whether revoked or not, and then go', async () => {
    const account = await service.client.signUp();
    const pairs = [await service.client.signIn(account), await service.client.signIn(account)];
    await service.client.logout({ refreshToken: pairs[0]!.refresh_token });
    const ids = pairs.map(sessionIdOf);
    const { pair: live } = await service.client.signUpAndIn();

    for (const id of ids) {
      await ageSession(database, id, SESSION_SECONDS + TOMBSTONE_SECONDS - 30);
    }
    expect(await cleaner.clean()).toBe(0);
    expectProblem(await service.client.refresh(pairs[0]!.refresh_token), 'session_revoked');
    expectProblem(await service.client.refresh(pairs[1]!.refresh_token), 'session_expired');

    for (const id of ids) {
      await ageSession(database, id, 31);
    }
    expect(await cleaner.clean()).toBe(2);
    expect(await countLeft(ids)).toBe(0);
    for (const pair of pairs) {
      expectProblem(await service.client.refresh(pair.refresh_token), 'session_expired');
    }
    expect((await service.client.refresh(live.refresh_token)).status).toBe(200);
  });

  it('go all in one run, however many batches that takes', async () => {
    const ids = await plantFamilies(2_500, TOMBSTONE_SECONDS + 1);
    expect(await cleaner.clean()).toBe(2_500);
    expect(await countLeft(ids)).toBe(0);
  });

  it('are passed over while another transaction holds them, and go the next time', async () => {
    const ids = await plantFamilies(3, TOMBSTONE_SECONDS + 1);
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [ids[0]]);
    expect(await cleaner.clean()).toBe(2);
    await lock.release();
    expect(await cleaner.clean()).toBe(1);
  });

  it('are left to the instance that is deleting them', async () => {
    const ids = await plantFamilies(3, TOMBSTONE_SECONDS + 1);
    const otherInstance = await holdLock(database, 'select pg_advisory_xact_lock(7246824002)', []);
    expect(await cleaner.clean()).toBe(0);
    expect(await countLeft(ids)).toBe(3);
    await otherInstance.release();
    expect(await cleaner.clean()).toBe(3);
  });
});

describe('many calls of logout-all at once', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy);
  const locks = (statements: readonly string[]): number =>
    statements.filter((statement) => /from users\s+where id = \$1\s+for no key update/.test(statement)).length;

  it('share their work, and lock nothing when nothing is left to end', async () => {
    const account = await service.client.signUpAndIn();
    const others = await Promise.all([1, 2, 3].map(() => service.client.signIn(account)));
    const { access_token } = account.pair;
    const statements = recordStatements(proxy);
    const logoutAll = async (): Promise<void> => {
      expect((await service.client.logoutAll(access_token)).status).toBe(204);
    };
    // They arrive while the first of them waits for the user's row.
    const lock = await holdLock(database, 'select 1 from users where id = $1 for update', [account.id]);
    const many = Promise.all(Array.from({ length: 200 }, logoutAll));
    await eventually(async () => (await openConnections(service)) >= 200, { withinMs: 10_000 });
    await lock.release();
    await many;
    const locksOfMany = locks(statements);
    expect(locksOfMany).toBeGreaterThan(0);
    expect(locksOfMany).toBeLessThanOrEqual(3);
    expect(statements.length).toBeLessThan(100);
    for (const { refresh_token } of [account.pair, ...others]) {
      expect((await service.client.refresh(refresh_token)).status).toBe(401);
    }
    await Promise.all(Array.from({ length: 20 }, logoutAll));
    expect(locks(statements)).toBe(locksOfMany);
  });
});
