import { beforeAll, describe, expect, it } from 'vitest';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { TokensService } from '../src/tokens/tokens.service.js';
import type { AccessGrant, AuthenticationMethod } from '../src/tokens/tokens.types.js';
import { UsersService } from '../src/users/users.service.js';
import { holdLock } from './support/held-lock.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import {
  type Account,
  claimsOf,
  newIdempotencyKey,
  pairOf,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { TestFamily } from './support/test-family.js';
import { useService } from './support/use-service.js';

const ROTATIONS = 1_000;

describe('a step-up of a session', () => {
  const { database, service } = useService({ MAX_SESSIONS_PER_USER: '1000' });
  let account: Account;

  beforeAll(async () => {
    account = await service.client.signUp();
  });

  async function openSession(): Promise<{
    readonly pair: TokenPair;
    readonly family: TestFamily;
    readonly id: string;
  }> {
    const pair = await service.client.signIn(account);
    return { pair, family: new TestFamily(database, pair.refresh_token), id: sessionIdOf(pair) };
  }

  /** As a caller does it: first the user's row, then the session. */
  function stepUp(
    sessionId: string,
    methods: readonly AuthenticationMethod[] = ['otp', 'mfa'],
    userId = account.id,
  ): Promise<AccessGrant | undefined> {
    return service.app.get(DatabaseService).transaction(async (transaction) => {
      await service.app.get(UsersService).lockUser(transaction, userId);
      return service.app.get(TokensService).stepUp(transaction, { id: userId, roles: [] }, sessionId, methods);
    });
  }

  /** To the last digit, as the database keeps it. */
  async function proofOf(sessionId: string): Promise<{ readonly amr: string; readonly auth_time: string | null }> {
    const [row] = await database.sql<{ amr: string; auth_time: string | null }>(
      'select amr::text, auth_time::text from refresh_token_families where id = $1',
      [sessionId],
    );
    return row!;
  }

  it('adds what was proved in one order, and makes the sign-in as young as that; nothing else of the session moves', async () => {
    const { family, id } = await openSession();
    await ageSession(database, id, 100);
    const before = await family.row();
    const grant = await stepUp(id, ['mfa', 'user', 'pop']);
    const { amr, auth_time, version, ...rest } = { ...(await family.row()) } as Record<string, unknown>;
    const { amr: oldAmr, auth_time: oldTime, version: oldVersion, ...same } = { ...before } as Record<string, unknown>;
    expect(rest).toEqual(same);
    expect([oldAmr, oldTime, amr]).toEqual([['pwd'], null, ['pwd', 'pop', 'user', 'mfa']]);
    expect(version).not.toBe(oldVersion);
    const seconds = Math.floor((auth_time as Date).getTime() / 1_000);
    expect(grant).toEqual({
      sessionId: id,
      userId: account.id,
      roles: [],
      amr,
      authenticatedAtSeconds: seconds,
      issuedAtSeconds: seconds,
      sessionExpiresAtSeconds: Math.floor((same['expires_at'] as Date).getTime() / 1_000),
    });
    expect((await stepUp(id, ['otp', 'mfa']))?.amr).toEqual(['pwd', 'otp', 'pop', 'user', 'mfa']);
  });

  it('keeps methods that only a later version knows, behind the others', async () => {
    const { id } = await openSession();
    await database.sql(`update refresh_token_families set amr = '{later,pwd,earlier}' where id = $1`, [id]);
    expect((await stepUp(id))?.amr).toEqual(['pwd', 'otp', 'mfa', 'earlier', 'later']);
  });

  it('leaves a session alone that is another user’s, or that has expired, been idle too long or ended', async () => {
    const stranger = await service.client.signUp();
    const { id: foreign } = await openSession();
    expect(await stepUp(foreign, ['pwd'], stranger.id)).toBeUndefined();
    const [{ id: ended, pair }, { id: idle }, { id: expired }] = [
      await openSession(),
      await openSession(),
      await openSession(),
    ];
    await service.client.logout({ refreshToken: pair.refresh_token });
    await database.sql(`update refresh_token_families set rotated_at = now() - interval '366 days' where id = $1`, [
      idle,
    ]);
    await database.sql('update refresh_token_families set expires_at = now() where id = $1', [expired]);
    for (const id of [ended, idle, expired]) {
      expect(await stepUp(id)).toBeUndefined();
    }
    for (const id of [foreign, ended, idle, expired]) {
      expect(await proofOf(id)).toEqual({ amr: '{pwd}', auth_time: null });
    }
  });

  it(`is the same to the last digit after ${ROTATIONS} rotations and a replay`, async () => {
    const { id, pair } = await openSession();
    await stepUp(id);
    const proof = await proofOf(id);
    const first = await service.client.rotate(pair.refresh_token);
    const { acr, amr, auth_time } = claimsOf(first.access_token);
    expect([acr, amr]).toEqual(['aal2', ['pwd', 'otp', 'mfa']]);
    const tokens = service.app.get(TokensService);
    let refreshToken = first.refresh_token;
    for (let rotation = 1; rotation < ROTATIONS; rotation += 1) {
      const grant = await tokens.refresh(tokens.identify(refreshToken), {
        idempotencyKey: undefined,
        client: { ipAddress: undefined, userAgent: undefined },
        isAbandoned: () => false,
      });
      refreshToken = grant.refreshToken;
    }
    const key = newIdempotencyKey();
    const [last, replayed] = [
      pairOf(await service.client.refresh(refreshToken, key)),
      pairOf(await service.client.refresh(refreshToken, key)),
    ];
    expect(replayed.refresh_token).toBe(last.refresh_token);
    for (const { access_token } of [last, replayed]) {
      expect(claimsOf(access_token)).toMatchObject({ acr, amr, auth_time });
    }
    expect(await proofOf(id)).toEqual(proof);
  }, 60_000);

  describe('beside something else that has the session’s row', () => {
    async function inOrder<First, Second>(
      id: string,
      first: () => Promise<First>,
      second: () => Promise<Second>,
    ): Promise<[First, Second]> {
      const held = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [id]);
      const one = first();
      await held.untilWaiting(1);
      const other = second();
      await held.untilWaiting(2);
      await held.release();
      return Promise.all([one, other]);
    }

    it('a rotation before it keeps the old proof, and neither is lost', async () => {
      const { id, pair } = await openSession();
      const [rotated, grant] = await inOrder(
        id,
        () => service.client.rotate(pair.refresh_token),
        () => stepUp(id),
      );
      expect(claimsOf(rotated.access_token)).toMatchObject({ acr: 'aal1', amr: ['pwd'] });
      expect(grant?.amr).toEqual(['pwd', 'otp', 'mfa']);
      const next = await service.client.rotate(rotated.refresh_token);
      expect(claimsOf(next.access_token)).toMatchObject({ acr: 'aal2', auth_time: grant?.authenticatedAtSeconds });
    });

    it('a rotation after it has the new proof', async () => {
      const { id, pair } = await openSession();
      const [grant, rotated] = await inOrder(
        id,
        () => stepUp(id),
        () => service.client.rotate(pair.refresh_token),
      );
      expect(claimsOf(rotated.access_token)).toMatchObject({ acr: 'aal2', auth_time: grant?.authenticatedAtSeconds });
    });

    it('finds no session after a logout, and ends with one that comes second', async () => {
      const [left, right] = [await openSession(), await openSession()];
      const logout = ({ pair }: { readonly pair: TokenPair }): Promise<{ readonly status: number }> =>
        service.client.logout({ refreshToken: pair.refresh_token }).then(({ status }) => ({ status }));
      const [, none] = await inOrder(
        left.id,
        () => logout(left),
        () => stepUp(left.id),
      );
      expect(none).toBeUndefined();
      expect(await proofOf(left.id)).toEqual({ amr: '{pwd}', auth_time: null });
      const [grant, { status }] = await inOrder(
        right.id,
        () => stepUp(right.id),
        () => logout(right),
      );
      expect([grant?.amr, status]).toEqual([['pwd', 'otp', 'mfa'], 204]);
      expectProblem(await service.client.refresh(right.pair.refresh_token), 'session_revoked');
    });

    it('finds no session after a reuse, and saves none from a reuse that comes second', async () => {
      const [left, right] = [await openSession(), await openSession()];
      await Promise.all([left, right].map(({ pair }) => service.client.rotate(pair.refresh_token)));
      const [reuse, none] = await inOrder(
        left.id,
        async () => await service.client.refresh(left.pair.refresh_token),
        () => stepUp(left.id),
      );
      expectProblem(reuse, 'refresh_token_reused');
      expect(none).toBeUndefined();
      const [grant, later] = await inOrder(
        right.id,
        () => stepUp(right.id),
        async () => await service.client.refresh(right.pair.refresh_token),
      );
      expect(grant?.amr).toEqual(['pwd', 'otp', 'mfa']);
      expectProblem(later, 'refresh_token_reused');
    });
  });
});
