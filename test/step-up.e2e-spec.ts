import { beforeAll, describe, expect, it } from 'vitest';
import request, { type Response } from 'supertest';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { TokensService } from '../src/tokens/tokens.service.js';
import type { AccessGrant, AuthenticationMethod } from '../src/tokens/tokens.types.js';
import { UsersService } from '../src/users/users.service.js';
import { FakeFactor, RIGHT_CODE, WRONG_CODE } from './support/fake-factor.js';
import { holdLock } from './support/held-lock.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import {
  type Account,
  claimsOf,
  newIdempotencyKey,
  newPassword,
  pairOf,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { TestFamily } from './support/test-family.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

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

describe('POST /auth/step-up', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { SECOND_FACTORS: 'on' });
  const limited = useInstance(database, { SECOND_FACTORS: 'on', RATE_LIMITS: 'on' });
  let factor: FakeFactor;

  beforeAll(() => {
    factor = new FakeFactor(service, limited);
  });

  /** A session that was opened ten minutes ago by a password alone. */
  async function openSession(): Promise<Account & { readonly pair: TokenPair }> {
    const account = await service.client.signUpAndIn();
    await ageSession(database, sessionIdOf(account.pair), 600);
    return { ...account, pair: await service.client.rotate(account.pair.refresh_token) };
  }

  async function openSessionWithFactor(): Promise<Account & { readonly pair: TokenPair }> {
    const account = await openSession();
    await factor.give(database, account);
    return account;
  }

  const stepUp = ({ access_token }: Pick<TokenPair, 'access_token'>, proof: object): Promise<Response> =>
    service.client.post('/auth/step-up', proof, { authorization: `Bearer ${access_token}` });

  const verify = async (accessToken: string, demands: Readonly<Record<string, string>>): Promise<Response> =>
    request(service.url)
      .get('/auth/verify')
      .set({ authorization: `Bearer ${accessToken}`, accept: 'application/json', ...demands });

  const DEMANDS = { 'x-require-acr': 'aal2', 'x-require-max-age': '300' };

  it('meets the demand of a gateway by a second factor, and the refresh token stays good', async () => {
    const { id, pair } = await openSessionWithFactor();
    expectStepUpDemand(await verify(pair.access_token, DEMANDS), { acr: 'aal2', maxAge: 300 });
    const answer = await stepUp(pair, { totp: RIGHT_CODE });
    const accessToken = expect.any(String) as string;
    expect([answer.status, answer.body]).toEqual([
      200,
      { access_token: accessToken, token_type: 'Bearer', expires_in: 300 },
    ]);
    const { access_token } = answer.body as TokenPair;
    const { auth_time, iat, sub, sid } = claimsOf(access_token);
    expect([sub, sid, auth_time]).toEqual([id, sessionIdOf(pair), iat]);
    expect(claimsOf(access_token)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    expect((await verify(access_token, DEMANDS)).status).toBe(200);
    expect((await verify(pair.access_token, DEMANDS)).status).toBe(401);
    const refreshed = await service.client.rotate(pair.refresh_token);
    expect(claimsOf(refreshed.access_token)).toMatchObject({ acr: 'aal2', auth_time });
  });

  it('by the password of a user without a second factor makes the sign-in younger, and proves no more', async () => {
    const { password, pair } = await openSession();
    expect((await verify(pair.access_token, { 'x-require-max-age': '300' })).status).toBe(401);
    const { access_token } = (await stepUp(pair, { password })).body as TokenPair;
    expect(claimsOf(access_token)).toMatchObject({ acr: 'aal1', amr: ['pwd'] });
    expect((await verify(access_token, { 'x-require-max-age': '300' })).status).toBe(200);
    expect((await verify(access_token, DEMANDS)).status).toBe(401);
  });

  it('by the password alone counts for nothing where the user has a second factor', async () => {
    const { password, pair } = await openSessionWithFactor();
    const answer = await stepUp(pair, { password });
    expect([answer.status, answer.body]).toMatchObject([
      403,
      { code: 'second_factor_required', factors: ['totp', 'recovery_code'] },
    ]);
    expect(answer.body).not.toHaveProperty('ticket');
    const { access_token } = await service.client.rotate(pair.refresh_token);
    expect((await verify(access_token, { 'x-require-max-age': '300' })).status).toBe(401);
  });

  it('refuses a wrong proof, and records nothing', async () => {
    const [plain, guarded] = [await openSession(), await openSessionWithFactor()];
    expectProblem(await stepUp(plain.pair, { password: newPassword() }), 'invalid_credentials');
    const { accepted } = factor;
    expectProblem(await stepUp(guarded.pair, { totp: WRONG_CODE }), 'second_factor_invalid');
    expect(factor.accepted).toBe(accepted);
    for (const { pair } of [plain, guarded]) {
      const { access_token } = await service.client.rotate(pair.refresh_token);
      expect(claimsOf(access_token)['auth_time']).toBe(claimsOf(pair.access_token)['auth_time']);
    }
  });

  it('counts wrong passwords as a password change does, and wrong codes as the second step of a sign-in does', async () => {
    const { client } = limited;
    const account = await client.signUpAndIn();
    const { access_token } = account.pair;
    const tryPassword = (password: string): Promise<Response> =>
      client.post('/auth/step-up', { password }, { authorization: `Bearer ${access_token}` });
    for (let count = 0; count < 10; count += 1) {
      expectProblem(await tryPassword(newPassword()), 'invalid_credentials');
    }
    expect((await tryPassword(account.password)).status).toBe(429);
    expect((await client.changePassword(access_token, account.password, newPassword())).status).toBe(429);
    const guarded = await client.signUpAndIn();
    await factor.give(database, guarded);
    const tryCode = (totp: string): Promise<Response> =>
      client.post('/auth/step-up', { totp }, { authorization: `Bearer ${guarded.pair.access_token}` });
    for (let count = 0; count < 5; count += 1) {
      expectProblem(await tryCode(WRONG_CODE), 'second_factor_invalid');
    }
    // The next is admitted after 30 s, of those that come at once.
    const [first, second] = [await tryCode(WRONG_CODE), await tryCode(RIGHT_CODE)];
    expect([401, 429]).toContain(first.status);
    expect(second.status).toBe(429);
  });

  it('takes exactly one proof', async () => {
    const { password, pair } = await openSession();
    expectProblem(await stepUp(pair, {}), 'validation_failed', [
      { field: 'totp', message: 'exactly one of totp, recovery_code and passkey must be sent' },
    ]);
    for (const other of [{ totp: RIGHT_CODE }, { recovery_code: 'A' }, { passkey: { ticket: 'x', credential: {} } }]) {
      expectProblem(await stepUp(pair, { password, ...other }), 'validation_failed', [
        { field: 'password', message: 'exactly one of password, totp, recovery_code and passkey must be sent' },
      ]);
    }
    for (const rubbish of [{ password: 1 }, { password: null }, { totp: {} }, { passkey: 'x' }, { other: 1 }, []]) {
      expect((await stepUp(pair, rubbish)).status).toBe(400);
    }
    expectProblem(await service.client.post('/auth/step-up', { password }), 'access_token_missing');
  });

  it('refuses the session that has ended, whichever comes first, and uses no proof up', async () => {
    const { password, pair, id } = await openSession();
    const held = await holdLock(database, 'select 1 from users where id = $1 for update', [id]);
    const waiting = stepUp(pair, { password });
    await held.untilWaiting(1);
    await service.client.logout({ refreshToken: pair.refresh_token });
    await held.release();
    expectProblem(await waiting, 'access_token_revoked');
    expectProblem(await stepUp(pair, { password }), 'access_token_revoked');
    const guarded = await openSessionWithFactor();
    const { accepted } = factor;
    await database.sql('update refresh_token_families set expires_at = now() where id = $1', [
      sessionIdOf(guarded.pair),
    ]);
    expectProblem(await stepUp(guarded.pair, { totp: RIGHT_CODE }), 'access_token_revoked');
    expect(factor.accepted).toBe(accepted);
  });

  it('gives nothing to an account that is disabled, or to a password that is changed, while it waits', async () => {
    for (const [change, code] of [
      [`status = 'disabled', credential_version = credential_version + 1`, 'account_disabled'],
      ['credential_version = credential_version + 1', 'invalid_credentials'],
    ] as const) {
      const { id, password, pair } = await openSession();
      const held = await holdLock(database, 'select 1 from users where id = $1 for update', [id]);
      const waiting = stepUp(pair, { password });
      await held.untilWaiting(1);
      await held.sql(`update users set ${change} where id = $1`, [id]);
      await held.release();
      expectProblem(await waiting, code);
    }
  });

  it('gives no role that the presented token does not have', async () => {
    const account = await openSession();
    const users = service.app.get(UsersService, { strict: false });
    await users.setRoles(account.id, ['admin', 'reader']);
    const narrowed = await service.client.exchange(account.pair.refresh_token, { scope: 'reader' });
    const { access_token } = (await stepUp(narrowed.body as TokenPair, { password: account.password }))
      .body as TokenPair;
    expect(claimsOf(access_token)).toMatchObject({ roles: ['reader'], scope: 'reader' });
    const stale = await stepUp(account.pair, { password: account.password });
    expect(claimsOf((stale.body as TokenPair).access_token)).not.toHaveProperty('roles');
  });

  it('is recorded once when its commit is cut', async () => {
    const { password, pair } = await openSession();
    let [isRecorded, isCut] = [false, false];
    proxy.cutWhen((text) => {
      isRecorded ||= /set auth_time = clock_timestamp\(\)/.test(text);
      if (!isRecorded || isCut || !/^commit/.test(text)) {
        return undefined;
      }
      isCut = true;
      return 'after';
    });
    const answer = await stepUp(pair, { password });
    expect([answer.status, isCut]).toEqual([200, true]);
    const { access_token } = answer.body as TokenPair;
    expect((await verify(access_token, { 'x-require-max-age': '300' })).status).toBe(200);
  });
});

describe('POST /auth/step-up', () => {
  const { service } = useService({
    SECOND_FACTORS: 'on',
    COOKIE_ORIGINS: 'https://app.example.com',
    ACCESS_COOKIE: 'on',
  });
  const { service: off } = useService();

  it('puts the access token into its cookie where the session lives in cookies, and leaves the other alone', async () => {
    const { password, pair } = await service.client.signUpAndIn();
    const bearer = { authorization: `Bearer ${pair.access_token}` };
    const answer = await service.client.post(
      '/auth/step-up',
      { password },
      { ...bearer, origin: 'https://app.example.com' },
    );
    expect([answer.status, answer.body]).toEqual([200, { token_type: 'Bearer', expires_in: 300 }]);
    const cookies = answer.headers['set-cookie'] as unknown as readonly string[];
    expect(cookies).toHaveLength(1);
    const [, token = ''] =
      /^(?:__Host-Http-)?ratchet-access=([^;]+); Max-Age=300; .*HttpOnly; SameSite=Lax$/.exec(cookies[0]!) ?? [];
    expect(claimsOf(token)).toMatchObject({ acr: 'aal1', amr: ['pwd'], sid: sessionIdOf(pair) });
    const refused = await service.client.post(
      '/auth/step-up',
      { password: newPassword() },
      { ...bearer, origin: 'https://app.example.com' },
    );
    expectProblem(refused, 'invalid_credentials');
    expect(refused.headers).not.toHaveProperty('set-cookie');
    expect((await service.client.post('/auth/step-up', { password }, bearer)).body).toHaveProperty('access_token');
  });

  it('does not exist where second factors are off', async () => {
    const { password, pair } = await off.client.signUpAndIn();
    const headers = { authorization: `Bearer ${pair.access_token}` };
    expectProblem(await off.client.post('/auth/step-up', { password }, headers), 'not_found');
  });
});
