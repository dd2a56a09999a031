import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { Clock } from '../src/platform/common/clock.js';
import { RotationQueueService } from '../src/tokens/rotation-queue.service.js';
import { openConnections, sendRefresh } from './support/abandoned-refresh.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { openSessions } from './support/open-sessions.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { ROTATION } from './support/statements.js';
import { type Account, claimsOf, newIdempotencyKey, pairOf, type TestClient } from './support/test-client.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const MEMBERS = 20;

interface Row {
  readonly generation: number;
  readonly revoke_reason: string | null;
}

describe('refreshes that share a statement', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { MAX_SESSIONS_PER_USER: '1000' });
  let client: TestClient;
  let queue: RotationQueueService;
  let account: Account;

  beforeAll(async () => {
    client = service.client;
    queue = service.app.get(RotationQueueService);
    account = await client.signUp();
  });

  beforeEach(() => {
    proxy.cutWhen(() => undefined);
    proxy.cuts = 0;
  });

  /** Refresh tokens of new sessions, all of the first generation. */
  async function newTokens(count: number): Promise<readonly string[]> {
    const sessions = await openSessions(service, database, account.id, count);
    return sessions.map(({ family }) => family.token(1));
  }

  function familyIdOf(token: string): string {
    const hex = Buffer.from(token.slice(4), 'base64url').subarray(1, 17).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }

  async function rowOf(token: string): Promise<Row> {
    const [row] = await database.sql<Row>(
      'select generation, revoke_reason from refresh_token_families where id = $1',
      [familyIdOf(token)],
    );
    return row!;
  }

  /**
   * Sends a refresh whose statement does not arrive, then `requests`, which wait behind it, and then lets the statement
   * go: so all of them are in the next one.
   */
  async function inOneBatch(requests: readonly (() => Promise<Response>)[]): Promise<readonly Response[]> {
    const [leader = ''] = await newTokens(1);
    proxy.freeze();
    const led = client.refresh(leader);
    const answers = requests.map((send) => send());
    await eventually(() => queue.waitingCount === requests.length, { withinMs: 4_000 });
    await proxy.resume();
    pairOf(await led);
    return Promise.all(answers);
  }

  it('are one statement and one commit for all, whatever the outcome of each', async () => {
    const tokens = await newTokens(MEMBERS);
    const [reused = '', ended = '', expired = ''] = await newTokens(3);
    await client.rotate(reused);
    await client.logout({ refreshToken: ended });
    await database.sql(
      `update refresh_token_families set created_at = created_at - interval '31 days',
         rotated_at = rotated_at - interval '31 days', expires_at = expires_at - interval '31 days' where id = $1`,
      [familyIdOf(expired)],
    );
    const statements = recordStatements(proxy);
    const answers = await inOneBatch([...tokens, reused, ended, expired].map((token) => () => client.refresh(token)));
    // The leader's and theirs; `begin` and `commit` would show.
    expect(statements.filter((statement) => ROTATION.test(statement))).toHaveLength(2);
    expect(statements.filter((statement) => /^(begin|commit|rollback)/.test(statement))).toHaveLength(2);
    answers.slice(0, MEMBERS).forEach(pairOf);
    expectProblem(answers[MEMBERS]!, 'refresh_token_reused');
    expectProblem(answers[MEMBERS + 1]!, 'session_revoked');
    expectProblem(answers[MEMBERS + 2]!, 'session_expired');
    expect(await rowOf(reused)).toEqual({ generation: 2, revoke_reason: 'reuse' });
    expect((await Promise.all(tokens.map(rowOf))).every(({ generation }) => generation === 2)).toBe(true);
  });

  it('say for each session what its own user has proved, and when', async () => {
    const tokens = await newTokens(3);
    for (const [index, token] of tokens.entries()) {
      await database.sql('update refresh_token_families set amr = $2, auth_time = to_timestamp($3) where id = $1', [
        familyIdOf(token),
        [`of ${index}`],
        1_700_000_000 + index,
      ]);
    }
    const answers = await inOneBatch(tokens.map((token) => () => client.refresh(token)));
    expect(answers.map((answer) => claimsOf(pairOf(answer).access_token))).toMatchObject(
      tokens.map((_, index) => ({ auth_time: 1_700_000_000 + index, amr: [`of ${index}`] })),
    );
  });

  it('do not wait for a member whose family another transaction holds', async () => {
    const [held = '', ...others] = await newTokens(4);
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
      familyIdOf(held),
    ]);
    let isHeldAnswered = false;
    const [leader = ''] = await newTokens(1);
    proxy.freeze();
    const led = client.refresh(leader);
    const waiting = client.refresh(held).finally(() => (isHeldAnswered = true));
    const free = others.map((token) => client.refresh(token));
    await eventually(() => queue.waitingCount === 4, { withinMs: 4_000 });
    await proxy.resume();
    pairOf(await led);
    (await Promise.all(free)).forEach(pairOf);
    await lock.untilWaiting(1);
    expect(isHeldAnswered).toBe(false);
    const [later = ''] = await newTokens(1);
    pairOf(await client.refresh(later));
    await lock.release();
    pairOf(await waiting);
  });

  describe('of one family', () => {
    it('with the same key of the client are one exchange and its repetition', async () => {
      const [token = ''] = await newTokens(1);
      const key = newIdempotencyKey();
      const answers = await inOneBatch([() => client.refresh(token, key), () => client.refresh(token, key)]);
      const [first, second] = answers.map(pairOf);
      expect(second!.refresh_token).toBe(first!.refresh_token);
      expect(await rowOf(token)).toEqual({ generation: 2, revoke_reason: null });
    });

    it.each([
      ['without a key', undefined, undefined],
      ['with different keys', newIdempotencyKey(), newIdempotencyKey()],
      ['with a key and without', newIdempotencyKey(), undefined],
    ])('%s are an exchange and a reuse', async (_how, firstKey, secondKey) => {
      const [token = ''] = await newTokens(1);
      const answers = await inOneBatch([() => client.refresh(token, firstKey), () => client.refresh(token, secondKey)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
      expectProblem(
        answers.find(({ status }) => status === 401)!,
        'refresh_token_reused',
      );
      expect(await rowOf(token)).toEqual({ generation: 2, revoke_reason: 'reuse' });
    });
  });

  it('are all undone and refused when the statement fails, and all succeed when repeated', async () => {
    const tokens = await newTokens(MEMBERS);
    await database.sql(
      `create function fail_one() returns trigger language plpgsql as $$
       begin raise exception 'planted' using errcode = '40001'; end $$`,
    );
    await database.sql(
      `create trigger fail_one before update on refresh_token_families
       for each row when (old.id = '${familyIdOf(tokens[7]!)}') execute function fail_one()`,
    );
    try {
      const answers = await inOneBatch(tokens.map((token) => () => client.refresh(token)));
      answers.forEach((answer) => {
        expectUnavailable(answer, 'temporarily_unavailable');
      });
      expect((await Promise.all(tokens.map(rowOf))).every(({ generation }) => generation === 1)).toBe(true);
    } finally {
      await database.sql('drop trigger fail_one on refresh_token_families');
      await database.sql('drop function fail_one()');
    }
    (await inOneBatch(tokens.map((token) => () => client.refresh(token)))).forEach(pairOf);
  });

  it.each(['before', 'after'] as const)(
    'are settled, each for itself, when the connection dies %s the commit',
    async (cut) => {
      const tokens = await newTokens(MEMBERS);
      const [leader = ''] = await newTokens(1);
      proxy.freeze();
      const led = client.refresh(leader);
      const answers = tokens.map((token) => client.refresh(token));
      await eventually(() => queue.waitingCount === MEMBERS, { withinMs: 4_000 });
      let statements = 0;
      proxy.cutWhen((statement) => (ROTATION.test(statement) && (statements += 1) === 2 ? cut : undefined));
      await proxy.resume();
      pairOf(await led);
      const pairs = (await Promise.all(answers)).map(pairOf);
      expect(proxy.cuts).toBe(1);
      for (const [index, token] of tokens.entries()) {
        expect(await rowOf(token)).toEqual({ generation: 2, revoke_reason: null });
        pairOf(await client.refresh(pairs[index]!.refresh_token));
      }
    },
  );

  it('leave out a refresh whose client has gone', async () => {
    const [token = '', other = ''] = await newTokens(2);
    const [leader = ''] = await newTokens(1);
    proxy.freeze();
    const led = client.refresh(leader);
    const kept = client.refresh(other);
    await eventually(() => queue.waitingCount === 1, { withinMs: 4_000 });
    const connections = await openConnections(service);
    const socket = await sendRefresh(service.url, token);
    await eventually(() => queue.waitingCount === 2, { withinMs: 4_000 });
    socket.destroy();
    await eventually(async () => (await openConnections(service)) === connections, { withinMs: 4_000 });
    await proxy.resume();
    pairOf(await led);
    pairOf(await kept);
    expect(await rowOf(token)).toEqual({ generation: 1, revoke_reason: null });
  });

  it('leave out a refresh that has waited for more than five seconds', async () => {
    const tokens = await newTokens(3);
    const [leader = ''] = await newTokens(1);
    proxy.freeze();
    const led = client.refresh(leader);
    const answers = tokens.map((token) => client.refresh(token));
    await eventually(() => queue.waitingCount === 3, { withinMs: 4_000 });
    const clock = service.app.get(Clock);
    const monotonicMs = clock.monotonicMs.bind(clock);
    clock.monotonicMs = (): number => monotonicMs() + 5_001;
    try {
      await proxy.resume();
      pairOf(await led);
      (await Promise.all(answers)).forEach((answer) => {
        expectUnavailable(answer, 'temporarily_unavailable');
      });
    } finally {
      clock.monotonicMs = monotonicMs;
    }
    expect((await Promise.all(tokens.map(rowOf))).every(({ generation }) => generation === 1)).toBe(true);
  });

  it('of two instances that overlap agree on every successor, without a deadlock', async () => {
    const other = await startService(database, { MAX_SESSIONS_PER_USER: '1000' });
    try {
      let tokens = await newTokens(60);
      for (let round = 1; round <= 5; round += 1) {
        const keys = tokens.map(() => newIdempotencyKey());
        const present = (instance: TestService, backwards: boolean): Promise<Response[]> => {
          const order = tokens.map((_, index) => (backwards ? tokens.length - 1 - index : index));
          return Promise.all(order.map((index) => instance.client.refresh(tokens[index]!, keys[index]))).then(
            (responses) => (backwards ? responses.reverse() : responses),
          );
        };
        const [here, there] = await Promise.all([present(service, false), present(other, true)]);
        const successors = here.map((response) => pairOf(response).refresh_token);
        expect(there.map((response) => pairOf(response).refresh_token)).toEqual(successors);
        tokens = successors;
      }
      expect(await rowOf(tokens[0]!)).toEqual({ generation: 6, revoke_reason: null });
    } finally {
      await other.stop();
    }
  });
});
