import { describe, expect, it } from 'vitest';
import { hash } from '@node-rs/argon2';
import { holdLock } from './support/held-lock.js';
import { eventually } from './support/eventually.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, codeOf, newPassword, pairOf, sessionIdOf } from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';

describe('changing the password', () => {
  const database = useDatabase();
  const service = useInstance(database);
  const otherInstance = useInstance(database);

  /** All that a password change may change. */
  async function stateOf(userId: string): Promise<object> {
    const users = await database.sql('select * from users where id = $1', [userId]);
    const families = await database.sql('select * from refresh_token_families where user_id = $1 order by id', [
      userId,
    ]);
    return { users, families };
  }

  async function weakenHash(account: Account): Promise<void> {
    const weakHash = await hash(account.password, { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
    await database.sql('update users set password_hash = $2 where id = $1', [account.id, weakHash]);
  }

  it('answers with the token pair of a new session, and only the new password logs in from then on', async () => {
    const account = await service.client.signUpAndIn();
    const password = newPassword();
    const response = await service.client.changePassword(account.pair.access_token, account.password, password);
    expect(response.status).toBe(200);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.body).toEqual({
      access_token: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: expect.stringMatching(/^rt1\.[\w-]{92}$/),
      refresh_expires_in: 1_209_600,
    });
    const pair = pairOf(response);
    expect(sessionIdOf(pair)).not.toBe(sessionIdOf(account.pair));
    expect((await service.client.me(pair.access_token)).body).toMatchObject({ id: account.id });
    expect((await otherInstance.client.refresh(pair.refresh_token)).status).toBe(200);

    const { email } = account;
    expectProblem(await otherInstance.client.login({ email, password: account.password }), 'invalid_credentials');
    expect((await otherInstance.client.login({ email, password })).status).toBe(200);
    const [user] = await database.sql('select credential_version from users where id = $1', [account.id]);
    expect(user).toEqual({ credential_version: 2 });
  });

  it('counts as a sign-in by password, now: the new session says so, whatever the old one said', async () => {
    const account = await service.client.signUpAndIn();
    await database.sql(
      `update refresh_token_families set amr = '{pwd,otp,mfa}', auth_time = now() - interval '1 hour' where id = $1`,
      [sessionIdOf(account.pair)],
    );
    const response = await service.client.changePassword(account.pair.access_token, account.password, newPassword());
    const claims = claimsOf(pairOf(response).access_token);
    expect(claims).toMatchObject({ auth_time: claims['iat'], acr: 'aal1', amr: ['pwd'] });
  });

  it("invariant 4: ends every earlier session, the caller's too, on every instance", async () => {
    const account = await service.client.signUpAndIn();
    const others = [await service.client.signIn(account), await otherInstance.client.signIn(account)];
    const { pair: bystander } = await service.client.signUpAndIn();
    const response = await service.client.changePassword(account.pair.access_token, account.password, newPassword());
    expect(response.status).toBe(200);
    for (const pair of [account.pair, ...others]) {
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
      expectProblem(await otherInstance.client.refresh(pair.refresh_token), 'session_revoked');
      await eventually(
        async () => codeOf(await otherInstance.client.me(pair.access_token)) === 'access_token_revoked',
        { withinMs: 1_000 },
      );
    }
    const sessions = await service.client.sessions(pairOf(response).access_token);
    expect(sessions.body).toMatchObject({ sessions: [{ id: sessionIdOf(pairOf(response)), current: true }] });
    expect((await service.client.me(bystander.access_token)).status).toBe(200);
    expect((await service.client.refresh(bystander.refresh_token)).status).toBe(200);
  });

  it('refuses a wrong current password and changes nothing', async () => {
    const account = await service.client.signUpAndIn();
    const before = await stateOf(account.id);
    for (const wrong of [newPassword(), '', `${account.password} `]) {
      const response = await service.client.changePassword(account.pair.access_token, wrong, newPassword());
      expectProblem(response, 'invalid_credentials');
    }
    expect(await stateOf(account.id)).toEqual(before);
    expect((await service.client.me(account.pair.access_token)).status).toBe(200);
  });

  it.each([
    ['too short', 'pw-secr', 'must be at least 8 characters long'],
    ['too long', `pw-secret-${'x'.repeat(119)}`, 'must be at most 128 characters long'],
    ['common', 'Password123', 'must not be a commonly used password'],
    ['too many bytes', '€'.repeat(342), 'must be at most 1024 bytes long in UTF-8'],
  ])('refuses a new password that is %s and changes nothing', async (_kind, password, message) => {
    const account = await service.client.signUpAndIn();
    const before = await stateOf(account.id);
    const response = await service.client.changePassword(account.pair.access_token, account.password, password);
    expectProblem(response, 'validation_failed', [{ field: 'new_password', message }]);
    expect(await stateOf(account.id)).toEqual(before);
  });

  it.each<[string, object, { field: string; message: string }[]]>([
    [
      'nothing',
      {},
      [
        { field: 'current_password', message: 'must be a string' },
        { field: 'new_password', message: 'must be a string' },
      ],
    ],
    [
      'another type',
      { current_password: ['x'], new_password: 'pw-secret-abcdefgh' },
      [{ field: 'current_password', message: 'must be a string' }],
    ],
    [
      'an unknown member',
      { current_password: 'x', new_password: 'pw-secret-abcdefgh', user_id: 'x' },
      [{ field: 'user_id', message: 'is not a member of this request' }],
    ],
    [
      'a current password of too many bytes',
      { current_password: '€'.repeat(342), new_password: 'pw-secret-abcdefgh' },
      [{ field: 'current_password', message: 'must be at most 1024 bytes long in UTF-8' }],
    ],
  ])('refuses a body with %s', async (_kind, body, errors) => {
    const { pair } = await service.client.signUpAndIn();
    const authorization = `Bearer ${pair.access_token}`;
    expectProblem(await service.client.post('/auth/password', body, { authorization }), 'validation_failed', errors);
  });

  it('needs an access token of a session that lives', async () => {
    const account = await service.client.signUpAndIn();
    const body = { current_password: account.password, new_password: newPassword() };
    expectProblem(await service.client.post('/auth/password', body), 'access_token_missing');
    await service.client.logout({ refreshToken: account.pair.refresh_token });
    const response = await service.client.changePassword(account.pair.access_token, account.password, newPassword());
    expectProblem(response, 'access_token_revoked');
  });

  it('tells a disabled account so only after the right password, and changes nothing', async () => {
    const account = await service.client.signUpAndIn();
    await database.sql(`update users set status = 'disabled' where id = $1`, [account.id]);
    const before = await stateOf(account.id);
    const { access_token } = account.pair;
    expectProblem(
      await service.client.changePassword(access_token, newPassword(), newPassword()),
      'invalid_credentials',
    );
    expectProblem(
      await service.client.changePassword(access_token, account.password, newPassword()),
      'account_disabled',
    );
    expect(await stateOf(account.id)).toEqual(before);
  });

  it('succeeds although a login rehashes the old password between its check and its change', async () => {
    const account = await service.client.signUpAndIn();
    await weakenHash(account);
    const lock = await holdLock(database, 'select 1 from users where id = $1 for update', [account.id]);
    const login = otherInstance.client.login({ email: account.email, password: account.password });
    await lock.untilWaiting(1);
    const password = newPassword();
    const change = service.client.changePassword(account.pair.access_token, account.password, password);
    await lock.untilWaiting(2);
    await lock.release();

    const pair = pairOf(await change);
    expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
    expect((await service.client.login({ email: account.email, password })).status).toBe(200);
    const overtaken = await login;
    if (overtaken.status === 200) {
      expectProblem(await service.client.refresh(pairOf(overtaken).refresh_token), 'session_revoked');
    } else {
      expectProblem(overtaken, 'invalid_credentials');
    }
  });

  it('is not undone by the rehash of a login that checked the old password', async () => {
    const account = await service.client.signUpAndIn();
    await weakenHash(account);
    const lock = await holdLock(database, 'select 1 from users where id = $1 for update', [account.id]);
    const password = newPassword();
    const change = service.client.changePassword(account.pair.access_token, account.password, password);
    await lock.untilWaiting(1);
    const login = otherInstance.client.login({ email: account.email, password: account.password });
    await lock.untilWaiting(2);
    await lock.release();

    expect((await change).status).toBe(200);
    expectProblem(await login, 'invalid_credentials');
    expectProblem(
      await service.client.login({ email: account.email, password: account.password }),
      'invalid_credentials',
    );
    expect((await service.client.login({ email: account.email, password })).status).toBe(200);
  });

  it('happens once when two changes from one password race', async () => {
    const account = await service.client.signUp();
    const pairs = [await service.client.signIn(account), await otherInstance.client.signIn(account)];
    const passwords = [newPassword(), newPassword()];
    const lock = await holdLock(database, 'select 1 from users where id = $1 for update', [account.id]);
    const changes = [service, otherInstance].map((instance, index) =>
      instance.client.changePassword(pairs[index]!.access_token, account.password, passwords[index]!),
    );
    await lock.untilWaiting(2);
    await lock.release();
    const responses = await Promise.all(changes);
    const winner = responses.findIndex(({ status }) => status === 200);
    expectProblem(responses[1 - winner]!, 'invalid_credentials');
    const logins = await Promise.all(
      passwords.map((password) => service.client.login({ email: account.email, password })),
    );
    expect(logins.map(({ status }) => status)).toEqual(winner === 0 ? [200, 401] : [401, 200]);
    expect((await service.client.refresh(pairOf(responses[winner]!).refresh_token)).status).toBe(200);
  });
});
