import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { readIdentity } from '../src/auth/access-tokens/access-token.format.js';
import type { Client, Identity } from '../src/auth/auth.types.js';
import type { ProblemCode } from '../src/platform/common/domain.errors.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { expectProblem } from './support/problem.js';
import {
  type Account,
  claimsOf,
  codeOf,
  newPassword,
  pairOf,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance, useService } from './support/use-service.js';

type AccountWithSession = Account & { readonly pair: TokenPair };

interface Ending {
  readonly what: string;
  /** Resolves when it has been acknowledged. */
  readonly run: (service: TestService, account: AccountWithSession) => Promise<void>;
  /** What a login that checked the old password is told when it comes second; undefined when it may go on. */
  readonly loginAfterwards: ProblemCode | undefined;
  /** What the holder of a refresh token is told. */
  readonly tokenAfterwards: ProblemCode;
}

const ENDINGS: readonly Ending[] = [
  {
    what: 'a password change',
    run: async (service, account) => {
      const { status } = await service.client.changePassword(
        account.pair.access_token,
        account.password,
        newPassword(),
      );
      expect(status).toBe(200);
    },
    loginAfterwards: 'invalid_credentials',
    tokenAfterwards: 'session_revoked',
  },
  {
    what: "an operator's new password",
    run: async (service, account) => {
      await service.app.get(AccountsService).setPassword(account.id, newPassword());
    },
    loginAfterwards: 'invalid_credentials',
    tokenAfterwards: 'session_revoked',
  },
  {
    what: 'disabling',
    run: async (service, account) => {
      await service.app.get(AccountsService).disable(account.id);
    },
    loginAfterwards: 'account_disabled',
    tokenAfterwards: 'account_disabled',
  },
  {
    what: 'deletion',
    run: async (service, account) => {
      await service.app.get(AccountsService).delete(account.id);
    },
    loginAfterwards: 'invalid_credentials',
    tokenAfterwards: 'session_revoked',
  },
  {
    what: 'a logout everywhere',
    run: async (service, account) => {
      expect((await service.client.logoutAll(account.pair.access_token)).status).toBe(204);
    },
    loginAfterwards: undefined,
    tokenAfterwards: 'session_revoked',
  },
  {
    what: 'an operator who ends the sessions',
    run: async (service, account) => {
      await service.app.get(AccountsService).endSessions(account.id);
    },
    loginAfterwards: undefined,
    tokenAfterwards: 'session_revoked',
  },
];

/** The user's row is what a login waits for, the family's what a refresh waits for. */
const USER_ROW = 'select 1 from users where id = $1 for update';
const FAMILY_ROW = 'select 1 from refresh_token_families where id = $1 for update';

describe('what ends sessions and what continues them, in either order', () => {
  const database = useDatabase();
  const service = useInstance(database);
  const otherInstance = useInstance(database);

  async function login(instance: TestService, account: Account): Promise<Response> {
    return instance.client.login({ email: account.email, password: account.password });
  }

  /** Neither token works: at once on the instance that acknowledged the end, within a second on the other. */
  async function expectEnded(pair: TokenPair, code: ProblemCode): Promise<void> {
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    expectProblem(await service.client.refresh(pair.refresh_token), code);
    expectProblem(await otherInstance.client.refresh(pair.refresh_token), code);
    await eventually(async () => codeOf(await otherInstance.client.me(pair.access_token)) === 'access_token_revoked', {
      withinMs: 1_000,
    });
  }

  describe.each(ENDINGS)('$what', ({ run, loginAfterwards, tokenAfterwards }) => {
    it('invariant 4: ends the session of a login that was about to commit before it', async () => {
      const account = await service.client.signUpAndIn();
      const lock = await holdLock(database, USER_ROW, [account.id]);
      const first = login(otherInstance, account);
      await lock.untilWaiting(1);
      const second = run(service, account);
      await lock.untilWaiting(2);
      await lock.release();

      const pair = pairOf(await first);
      await second;
      await expectEnded(pair, tokenAfterwards);
      await expectEnded(account.pair, tokenAfterwards);
    });

    it('invariant 4: leaves no session to a login that checked the password before it and commits after it', async () => {
      const account = await service.client.signUpAndIn();
      const lock = await holdLock(database, USER_ROW, [account.id]);
      const first = run(service, account);
      await lock.untilWaiting(1);
      const second = login(otherInstance, account);
      await lock.untilWaiting(2);
      await lock.release();

      await first;
      const response = await second;
      if (loginAfterwards === undefined) {
        // It ends what was there, not what comes after: this session began after it.
        expect((await service.client.refresh(pairOf(response).refresh_token)).status).toBe(200);
      } else {
        expectProblem(response, loginAfterwards);
      }
      await expectEnded(account.pair, tokenAfterwards);
    });

    it('invariant 4: ends the successor of a refresh that was about to commit before it', async () => {
      const account = await service.client.signUpAndIn();
      const lock = await holdLock(database, FAMILY_ROW, [sessionIdOf(account.pair)]);
      const first = otherInstance.client.refresh(account.pair.refresh_token);
      await lock.untilWaiting(1);
      const second = run(service, account);
      await lock.untilWaiting(2);
      await lock.release();

      const pair = pairOf(await first);
      await second;
      await expectEnded(pair, tokenAfterwards);
    });

    it('invariant 4: hands out no successor to a refresh that waited for it', async () => {
      const account = await service.client.signUpAndIn();
      const lock = await holdLock(database, FAMILY_ROW, [sessionIdOf(account.pair)]);
      const first = run(service, account);
      await lock.untilWaiting(1);
      const second = otherInstance.client.refresh(account.pair.refresh_token);
      await lock.untilWaiting(2);
      await lock.release();

      await first;
      expectProblem(await second, tokenAfterwards);
      await expectEnded(account.pair, tokenAfterwards);
    });
  });
});

describe('the session limit and a logout everywhere, in either order', () => {
  const { database, service } = useService({ MAX_SESSIONS_PER_USER: '2' });

  async function reasons(userId: string): Promise<(string | null)[]> {
    const rows = await database.sql<{ revoke_reason: string | null }>(
      'select revoke_reason from refresh_token_families where user_id = $1 order by created_at',
      [userId],
    );
    return rows.map(({ revoke_reason }) => revoke_reason);
  }

  it('invariant 4: a login that evicts a session and commits first is ended with the rest', async () => {
    const account = await service.client.signUpAndIn();
    const other = await service.client.signIn(account);
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const first = service.client.signIn(account);
    await lock.untilWaiting(1);
    const second = service.client.logoutAll(other.access_token);
    await lock.untilWaiting(2);
    await lock.release();
    const pair = await first;
    expect((await second).status).toBe(204);
    expect(await reasons(account.id)).toEqual(['session_limit', 'logout_all', 'logout_all']);
    expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
  });

  it('a login that comes second finds nothing to evict, and its session alone lives', async () => {
    const account = await service.client.signUpAndIn();
    const other = await service.client.signIn(account);
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const first = service.client.logoutAll(other.access_token);
    await lock.untilWaiting(1);
    const second = service.client.signIn(account);
    await lock.untilWaiting(2);
    await lock.release();
    expect((await first).status).toBe(204);
    const pair = await second;
    expect(await reasons(account.id)).toEqual(['logout_all', 'logout_all', null]);
    expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
  });
});

describe('logins, refreshes and everything that ends sessions, all at once', () => {
  const ROUNDS = 30;
  const ROUNDS_AT_ONCE = 3;
  const NOBODY: Client = {
    ipAddress: undefined,
    userAgent: undefined,
    networks: ['unknown'],
    hasGone: () => false,
    noteSession: () => undefined,
  };

  it('invariant 4: no token handed out before or during an end works after it; no deadlock, no 5xx', async () => {
    const database = await createTestDatabase();
    const limit = { MAX_SESSIONS_PER_USER: '4' };
    const instances = await Promise.all([startService(database, limit), startService(database, limit)]);
    const [service, otherInstance] = instances;
    const accounts = service.app.get(AccountsService);
    const answers: Response[] = [];
    const heard = async (answer: Promise<Response>): Promise<Response> => {
      const response = await answer;
      answers.push(response);
      return response;
    };
    /** Refreshes until it is refused, and keeps every token it was ever given. */
    const keepRefreshing = async (instance: TestService, pair: TokenPair, handedOut: TokenPair[]): Promise<void> => {
      for (let current = pair, left = 20; left > 0; left -= 1) {
        const response = await heard(instance.client.refresh(current.refresh_token));
        if (response.status !== 200) {
          return;
        }
        current = response.body as TokenPair;
        handedOut.push(current);
      }
    };

    const round = async (number: number): Promise<void> => {
      const isPasswordChange = number % 3 === 0;
      const account = await service.client.signUpAndIn();
      const other = await otherInstance.client.signIn(account);
      const handedOut = [account.pair, other];
      const work = [service, otherInstance, service].map(async (instance) => {
        const response = await heard(instance.client.login({ email: account.email, password: account.password }));
        if (response.status === 200) {
          const pair = response.body as TokenPair;
          handedOut.push(pair);
          await keepRefreshing(instance, pair, handedOut);
        }
      });
      work.push(keepRefreshing(otherInstance, other, handedOut));
      // Not over HTTP: the session limit may end the caller's own session before its request is read.
      await (isPasswordChange
        ? accounts.changePassword(identityOf(account.pair), account.password, newPassword(), NOBODY)
        : accounts.disable(account.id));
      await Promise.all(work);

      const codes = await Promise.all(
        handedOut.map(async (pair) => [
          (await heard(service.client.refresh(pair.refresh_token))).status,
          codeOf(await heard(service.client.me(pair.access_token))),
        ]),
      );
      for (const [status, code] of codes) {
        expect([401, 403]).toContain(status);
        expect(code).toBe('access_token_revoked');
      }
      const live = await database.sql(
        'select id from refresh_token_families where user_id = $1 and revoked_at is null',
        [account.id],
      );
      // After a password change the caller's new session lives, and no other.
      expect(live).toHaveLength(isPasswordChange ? 1 : 0);
    };
    for (let number = 0; number < ROUNDS; number += ROUNDS_AT_ONCE) {
      await Promise.all(Array.from({ length: ROUNDS_AT_ONCE }, (_, offset) => round(number + offset)));
    }

    expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
    // Connections report their statistics at the latest when they end.
    await Promise.all(instances.map((instance) => instance.stop()));
    const statistics = await database.sql(
      'select deadlocks::integer from pg_stat_database where datname = current_database()',
    );
    expect(statistics).toEqual([{ deadlocks: 0 }]);
    await database.close();
  });
});

/** What the access-token guard reads from the token. */
function identityOf({ access_token }: TokenPair): Identity {
  const identity = readIdentity(claimsOf(access_token), Date.now() / 1_000);
  if (identity === undefined) {
    throw new Error('the service has issued a token that it would not accept');
  }
  return identity;
}
