import { beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { openSessions } from './support/open-sessions.js';
import { expectProblem } from './support/problem.js';
import { type Account, codeOf, newIdempotencyKey, pairOf, type TokenPair } from './support/test-client.js';
import { TestFamily } from './support/test-family.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const PRESENTATIONS = 50;
const ROUNDS = 200;
const ROUNDS_AT_ONCE = 20;

describe('racing refreshes', () => {
  const database = useDatabase();
  const settings = { MAX_SESSIONS_PER_USER: '1000' };
  const strict = [useInstance(database, settings), useInstance(database, settings)] as const;
  const graceSettings = { REFRESH_GRACE_SECONDS: '20' };
  const graceful = [useInstance(database, graceSettings), useInstance(database, graceSettings)] as const;
  let account: Account;

  beforeAll(async () => {
    account = await strict[0].client.signUp();
  });

  async function newFamily(): Promise<TestFamily> {
    return new TestFamily(database, (await strict[0].client.signIn(account)).refresh_token);
  }

  /** The same token from many sides at once, on both instances by turns. */
  function presentAtOnce(
    [first, second]: readonly [TestService, TestService],
    refreshToken: string,
    keyOf: (index: number) => string | undefined = () => undefined,
  ): Promise<Response[]> {
    return Promise.all(
      Array.from({ length: PRESENTATIONS }, (_, index) =>
        (index % 2 === 0 ? first : second).client.refresh(refreshToken, keyOf(index)),
      ),
    );
  }

  function pairsAmong(responses: readonly Response[]): readonly TokenPair[] {
    return responses.filter((response) => response.status === 200).map(pairOf);
  }

  function refreshTokensAmong(responses: readonly Response[]): ReadonlySet<string> {
    return new Set(pairsAmong(responses).map((pair) => pair.refresh_token));
  }

  describe('of one token, 50 at once on two instances', () => {
    it('invariants 1 and 2: without a key, one wins, all others are reuses, and the family dies of them', async () => {
      const family = await newFamily();
      const responses = await presentAtOnce(strict, family.token(1));
      const refusals = responses.filter((response) => response.status !== 200);

      const [winner, ...others] = pairsAmong(responses);
      expect(winner?.refresh_token).toBe(family.token(2));
      expect(others).toEqual([]);
      expect(refusals).toHaveLength(PRESENTATIONS - 1);
      for (const refusal of refusals) {
        expectProblem(refusal, 'refresh_token_reused');
      }
      expect(await family.row()).toMatchObject({ generation: 2, revoke_reason: 'reuse' });
      expectProblem(await strict[0].client.refresh(family.token(2)), 'refresh_token_reused');
      expectProblem(await strict[1].client.refresh(family.token(2)), 'refresh_token_reused');
    });

    it('invariants 1 and 2: with one key, all get the same successor, and the family lives', async () => {
      const family = await newFamily();
      const key = newIdempotencyKey();
      const responses = await presentAtOnce(strict, family.token(1), () => key);
      expect(pairsAmong(responses)).toHaveLength(PRESENTATIONS);
      expect(refreshTokensAmong(responses)).toEqual(new Set([family.token(2)]));
      expect(await family.row()).toMatchObject({ generation: 2, revoked_at: null });
      expect((await strict[1].client.rotate(family.token(2))).refresh_token).toBe(family.token(3));
    });

    it('invariants 1 and 2: with two keys, there is one successor still, and the family dies', async () => {
      const family = await newFamily();
      const keys = [newIdempotencyKey(), newIdempotencyKey()];
      const responses = await presentAtOnce(strict, family.token(1), (index) => keys[Math.floor(index / 2) % 2]);
      expect(refreshTokensAmong(responses)).toEqual(new Set([family.token(2)]));
      for (const refusal of responses.filter((response) => response.status !== 200)) {
        expectProblem(refusal, 'refresh_token_reused');
      }
      expect(await family.row()).toMatchObject({ generation: 2, revoke_reason: 'reuse' });
      expectProblem(await strict[0].client.refresh(family.token(2), keys[0]), 'refresh_token_reused');
    });

    it('invariants 1 and 2: within the grace window, all get the same successor, and the family lives', async () => {
      const family = await newFamily();
      const responses = await presentAtOnce(graceful, family.token(1));
      expect(pairsAmong(responses)).toHaveLength(PRESENTATIONS);
      expect(refreshTokensAmong(responses)).toEqual(new Set([family.token(2)]));
      expect(await family.row()).toMatchObject({ generation: 2, revoked_at: null });
    });

    it('invariant 2: a token from the future of a restored backup has one successor, too', async () => {
      const family = await newFamily();
      const key = newIdempotencyKey();
      const responses = await presentAtOnce(strict, family.token(100), () => key);
      expect(pairsAmong(responses)).toHaveLength(PRESENTATIONS);
      expect(refreshTokensAmong(responses)).toEqual(new Set([family.token(101)]));
      expect(await family.row()).toMatchObject({ generation: 101, revoked_at: null });
    });
  });

  it('invariant 1: of all generations shown at once, none is good for anything but the one successor', async () => {
    const family = await newFamily();
    await family.setGeneration(25);
    const responses = await Promise.all(
      Array.from({ length: 25 }, (_, index) => strict[index % 2]!.client.refresh(family.token(index + 1))),
    );
    expect([...refreshTokensAmong(responses)].filter((token) => token !== family.token(26))).toEqual([]);
    expect(await family.row()).toMatchObject({ revoke_reason: 'reuse' });
    for (const generation of [1, 25, 26]) {
      expectProblem(await strict[0].client.refresh(family.token(generation)), 'refresh_token_reused');
    }
  });

  describe('a token that was used long ago', () => {
    it('invariant 3: generation 3 of 500 kills the family, which is committed although the answer is an error', async () => {
      const family = await newFamily();
      await family.setGeneration(500);
      const pair = await strict[0].client.rotate(family.token(500));

      expectProblem(await strict[0].client.refresh(family.token(3)), 'refresh_token_reused');
      // Read by another connection: what it sees is committed.
      expect(await family.row()).toMatchObject({
        generation: 501,
        revoked_at: expect.any(Date),
        revoke_reason: 'reuse',
      });
      expectProblem(await strict[1].client.refresh(family.token(501)), 'refresh_token_reused');
      await eventually(async () => codeOf(await strict[1].client.me(pair.access_token)) === 'access_token_revoked', {
        withinMs: 1_000,
      });
    });

    it('invariant 3: every earlier token kills the family, the first and the last one', async () => {
      for (const generation of [1, 2, 5, 6]) {
        const family = await newFamily();
        for (let current = 1; current <= 6; current += 1) {
          await strict[current % 2]!.client.rotate(family.token(current), newIdempotencyKey());
        }
        expectProblem(await strict[0].client.refresh(family.token(generation)), 'refresh_token_reused');
        expectProblem(await strict[1].client.refresh(family.token(7)), 'refresh_token_reused');
      }
    });
  });

  describe('an attempt whose statement arrives late', () => {
    const network = useProxy(database);
    const delayed = useInstance(network, settings);

    /**
     * A client gives an attempt up, because the way to its database is slow, succeeds elsewhere, and refreshes once more.
     * Then the first attempt reaches the database.
     *
     * @returns what the first attempt is answered, and the family, which is at generation 3
     */
    async function overtake(retryKey?: string): Promise<{ readonly late: Response; readonly family: TestFamily }> {
      const family = await newFamily();
      // A connection in the pool, so that it is the statement that is late.
      await delayed.client.refresh((await newFamily()).token(1));
      network.freeze();
      const late = delayed.client.refresh(family.token(1), retryKey);
      expect((await strict[0].client.rotate(family.token(1), retryKey)).refresh_token).toBe(family.token(2));
      expect((await strict[1].client.rotate(family.token(2), newIdempotencyKey())).refresh_token).toBe(family.token(3));
      await network.resume();
      return { late: await late, family };
    }

    it('invariant 6: with its key it moves nothing, and its client stays signed in', async () => {
      const { late, family } = await overtake(newIdempotencyKey());
      expectProblem(late, 'idempotency_key_reused');
      expect((await strict[0].client.rotate(family.token(3), newIdempotencyKey())).refresh_token).toBe(family.token(4));
    });

    it('invariant 3: without a key it is a reuse', async () => {
      const { late, family } = await overtake();
      expectProblem(late, 'refresh_token_reused');
      expectProblem(await strict[0].client.refresh(family.token(3)), 'refresh_token_reused');
    });
  });

  describe('against a logout', () => {
    /** One of the generations 1 and 2 is the current one; neither is accepted any more. */
    async function expectDead(family: TestFamily, instance: TestService): Promise<void> {
      const responses = await Promise.all(
        [1, 2].map((generation) => instance.client.refresh(family.token(generation))),
      );
      for (const response of responses) {
        expectProblem(response, 'session_revoked');
      }
    }

    it(`invariant 4: ${ROUNDS} times, neither the refresh token nor the access token survives it`, async () => {
      const sessions = await openSessions(strict[0], database, account.id, ROUNDS);
      let refreshesThatWon = 0;

      const race = async (round: number): Promise<void> => {
        const { family, accessToken } = sessions[round]!;
        const [refreshing, ending] = round % 2 === 0 ? strict : ([strict[1], strict[0]] as const);
        const refresh = (): Promise<Response> => refreshing.client.refresh(family.token(1), newIdempotencyKey());
        const logout = (): Promise<Response> =>
          ending.client.logout(round % 3 === 0 ? { accessToken } : { refreshToken: family.token(1) });
        const [refreshed, loggedOut] =
          round % 4 < 2
            ? await Promise.all([refresh(), logout()])
            : await Promise.all([logout(), refresh()]).then(([second, first]) => [first, second] as const);

        expect(loggedOut.status).toBe(204);
        if (refreshed.status === 200) {
          refreshesThatWon += 1;
          const { refresh_token, access_token } = pairOf(refreshed);
          expect(refresh_token).toBe(family.token(2));
          expectProblem(await ending.client.me(access_token), 'access_token_revoked');
        } else {
          expectProblem(refreshed, 'session_revoked');
        }
        await expectDead(family, round % 2 === 0 ? ending : refreshing);
      };
      for (let round = 0; round < ROUNDS; round += ROUNDS_AT_ONCE) {
        await Promise.all(Array.from({ length: ROUNDS_AT_ONCE }, (_, index) => race(round + index)));
      }
      // Both orders have happened, or it was no race.
      expect(refreshesThatWon).toBeGreaterThan(0);
      expect(refreshesThatWon).toBeLessThan(ROUNDS);
    });

    it('invariant 4: a refresh that waits for the row while a logout waits behind it hands out nothing that lives', async () => {
      const family = await newFamily();
      const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
        family.id,
      ]);
      const refreshing = strict[0].client.refresh(family.token(1));
      await lock.untilWaiting(1);
      const loggingOut = strict[1].client.logout({ refreshToken: family.token(1) });
      await lock.untilWaiting(2);
      await lock.release();

      const { access_token, refresh_token } = pairOf(await refreshing);
      expect((await loggingOut).status).toBe(204);
      expect(refresh_token).toBe(family.token(2));
      expectProblem(await strict[1].client.me(access_token), 'access_token_revoked');
      await expectDead(family, strict[0]);
    });

    it('invariant 4: a refresh that waits behind a logout sees what the logout left', async () => {
      const family = await newFamily();
      const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
        family.id,
      ]);
      const loggingOut = strict[0].client.logout({ refreshToken: family.token(1) });
      await lock.untilWaiting(1);
      const refreshing = strict[1].client.refresh(family.token(1), newIdempotencyKey());
      await lock.untilWaiting(2);
      await lock.release();

      expect((await loggingOut).status).toBe(204);
      expectProblem(await refreshing, 'session_revoked');
      expect(await family.row()).toMatchObject({ generation: 1, revoke_reason: 'logout' });
      await expectDead(family, strict[1]);
    });

    it('invariant 4: a refresh that began before the logout of another transaction committed is refused', async () => {
      const family = await newFamily();
      const lock = await holdLock(
        database,
        `update refresh_token_families
         set revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id(), revoke_reason = 'logout' where id = $1`,
        [family.id],
      );
      const refreshing = strict[0].client.refresh(family.token(1));
      await lock.untilWaiting(1);
      await lock.release();
      expectProblem(await refreshing, 'session_revoked');
      await expectDead(family, strict[1]);
    });

    it('invariant 4: a logout that began before a rotation committed ends what the rotation left', async () => {
      const family = await newFamily();
      const lock = await holdLock(
        database,
        'update refresh_token_families set generation = generation + 1, rotated_at = clock_timestamp() where id = $1',
        [family.id],
      );
      const loggingOut = strict[0].client.logout({ refreshToken: family.token(1) });
      await lock.untilWaiting(1);
      await lock.release();
      expect((await loggingOut).status).toBe(204);
      expect(await family.row()).toMatchObject({ generation: 2, revoke_reason: 'logout' });
      await expectDead(family, strict[1]);
    });
  });

  it('invariant 2: two refreshes in the queue for one row are judged one after the other', async () => {
    const family = await newFamily();
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [family.id]);
    const first = strict[0].client.refresh(family.token(1));
    await lock.untilWaiting(1);
    const second = strict[1].client.refresh(family.token(1));
    await lock.untilWaiting(2);
    await lock.release();
    expect(pairOf(await first).refresh_token).toBe(family.token(2));
    expectProblem(await second, 'refresh_token_reused');
    expectProblem(await strict[0].client.refresh(family.token(2)), 'refresh_token_reused');
  });

  it('judges the age of a token after the wait for its row, so that waiting makes no token fresher', async () => {
    const family = await newFamily();
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [family.id]);
    const refreshing = strict[0].client.refresh(family.token(1));
    await lock.untilWaiting(1);
    await lock.sql('update refresh_token_families set expires_at = clock_timestamp() where id = $1', [family.id]);
    await lock.release();
    expectProblem(await refreshing, 'session_expired');
  });
});
