import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { type Account, codeOf, newEmail, newPassword, pairOf } from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { MAIL_ON } from './support/mail-on.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const OTHER_SECRET = 'auth-secret-to-come-of-the-tests-Hn5Wd8Qx2Vk7Zr3M';
const USER_ROW = 'select 1 from users where id = $1 for update';

describe('a forgotten password', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, MAIL_ON);
  const otherInstance = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  const forgot = (email: string, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/password/forgot', { email });

  const reset = (token: string, password: string, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/password/reset', { token, new_password: password });

  async function linkFor(account: Pick<Account, 'email'>): Promise<string> {
    expect((await forgot(account.email)).status).toBe(202);
    return (await mails.last(account.email, 'password_reset')).token;
  }

  async function login(account: Account, at: TestService = otherInstance): Promise<Response> {
    return at.client.login({ email: account.email, password: account.password });
  }

  it('is replaced by the link of a mail: no session opens, all end, and only the new password signs in', async () => {
    const account = await service.client.signUpAndIn();
    const other = await otherInstance.client.signIn(account);
    const answer = await forgot(account.email.toUpperCase());
    expect([answer.status, answer.body, answer.headers['cache-control']]).toEqual([202, {}, 'no-store']);
    const { token, code } = await mails.last(account.email, 'password_reset');
    expect([token, code]).toEqual([expect.stringMatching(/^pr1\.[\w-]{66}$/), '']);
    const password = newPassword();
    const done = await reset(token, password);
    expect([done.status, done.text]).toEqual([204, '']);
    for (const pair of [account.pair, other]) {
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
      expectProblem(await otherInstance.client.refresh(pair.refresh_token), 'session_revoked');
      await eventually(
        async () => codeOf(await otherInstance.client.me(pair.access_token)) === 'access_token_revoked',
        { withinMs: 1_000 },
      );
    }
    expectProblem(await login(account), 'invalid_credentials');
    expect((await login({ ...account, password })).status).toBe(200);
    expect(await mails.templatesTo(account.email)).toEqual(['password_reset', 'password_changed']);
    expect((await mails.last(account.email, 'password_changed')).params).toEqual({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
  });

  it('is mailed about in the language of the browser that registered the account', async () => {
    const credentials = { email: newEmail(), password: newPassword() };
    await service.client.post('/auth/register', credentials, { 'accept-language': 'ko-KR,ko;q=0.9,en;q=0.5' });
    expect((await forgot(credentials.email)).status).toBe(202);
    expect(await mails.last(credentials.email, 'password_reset')).toMatchObject({ locale: 'ko' });
  });

  it('has its link for 30 minutes, by the clock of the database', async () => {
    for (const [seconds, status] of [
      [1_795, 204],
      [1_801, 401],
    ] as const) {
      const account = await service.client.signUp();
      const token = await linkFor(account);
      await database.sql('update tickets set expires_at = expires_at - make_interval(secs => $2) where user_id = $1', [
        account.id,
        seconds,
      ]);
      expect((await reset(token, newPassword())).status).toBe(status);
    }
  });

  it('tells nobody whether an address has an account: answers and headers are equal, and so are the statements', async () => {
    const known = await service.client.signUp();
    const disabled = await service.client.signUp();
    await service.app.get(AccountsService).disable(disabled.id);
    const statements = recordStatements(proxy);
    const seen = new Set<string>();
    for (const email of [known.email, disabled.email, newEmail(), newEmail()]) {
      const from = statements.length;
      const { status, text, headers } = await forgot(email);
      const told = Object.entries(headers).filter(([name]) => !['date', 'x-request-id'].includes(name));
      seen.add(JSON.stringify({ status, text, told, statements: statements.slice(from) }));
    }
    expect([...seen]).toHaveLength(1);
    expect(await mails.templatesTo(known.email)).toEqual(['password_reset']);
    expect(await mails.templatesTo(disabled.email)).toEqual([]);
  });

  it('refuses an address that is none, and a body of another shape', async () => {
    const invalid = [{ field: 'email', message: 'must be an e-mail address' }];
    for (const email of ['', 'ada', 'a@b\r\nBcc: c@d.example', 'a@example.com, b@example.com']) {
      expectProblem(await forgot(email), 'validation_failed', invalid);
    }
    expectProblem(await service.client.post('/auth/password/forgot', {}), 'validation_failed', [
      { field: 'email', message: 'must be a string' },
    ]);
  });

  it('says what is wrong with a new password, and the link stays good', async () => {
    const account = await service.client.signUp();
    const token = await linkFor(account);
    expectProblem(await reset(token, 'short'), 'validation_failed', [
      { field: 'new_password', message: 'must be at least 8 characters long' },
    ]);
    expect((await reset(token, newPassword())).status).toBe(204);
  });

  it('invariant 10: is replaced once by 50 presentations of one link on two instances, and by no sibling of it', async () => {
    const account = await service.client.signUp();
    const sibling = await linkFor(account);
    const token = await linkFor(account);
    const passwords = Array.from({ length: 50 }, () => newPassword());
    const answers = await Promise.all(
      passwords.map((password, index) => reset(token, password, index % 2 === 0 ? service : otherInstance)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    // The rest are refused, or were told to come again by an instance that had no connection free.
    expect(statuses.every((status) => [204, 401, 503].includes(status))).toBe(true);
    const winner = statuses.indexOf(204);
    expect((await login({ ...account, password: passwords[winner]! })).status).toBe(200);
    expectProblem(await reset(sibling, newPassword()), 'ticket_invalid');
    expect(await mails.templatesTo(account.email)).toEqual(['password_reset', 'password_reset', 'password_changed']);
  });

  it('invariant 9: costs no query when the token is rubbish or of another purpose', async () => {
    const account = await service.client.signUpAndIn();
    const answer = await service.client.post(
      '/auth/email',
      { new_email: newEmail() },
      { authorization: `Bearer ${account.pair.access_token}` },
    );
    const { token: undo } = await mails.last(account.email, 'email_change_notice');
    const token = await linkFor(account);
    const { ticket } = answer.body as { ticket: string };
    const statements = recordStatements(proxy);
    for (const wrong of ['', 'pr1.', undo, ticket, `pr1.${undo.slice(4)}`, `${token}A`, account.pair.refresh_token]) {
      expectProblem(await reset(wrong, newPassword()), 'ticket_invalid');
    }
    expect(statements).toEqual([]);
    expectProblem(await service.client.post('/auth/email/undo', { token: `eu1.${token.slice(4)}` }), 'ticket_invalid');
    expect((await reset(token, newPassword())).status).toBe(204);
  });

  it("has no use for a link after a password change, an operator's new password, disabling or deletion", async () => {
    const accounts = service.app.get(AccountsService);
    const events: ((account: Account) => Promise<unknown>)[] = [
      async (account) => {
        const { access_token } = await service.client.signIn(account);
        pairOf(await service.client.changePassword(access_token, account.password, newPassword()));
      },
      ({ id }) => accounts.setPassword(id, newPassword()),
      async ({ id }) => {
        await accounts.disable(id);
        await accounts.enable(id);
      },
      ({ id }) => accounts.disable(id),
      ({ id }) => accounts.delete(id),
    ];
    for (const event of events) {
      const account = await service.client.signUp();
      const token = await linkFor(account);
      await event(account);
      expectProblem(await reset(token, newPassword()), 'ticket_invalid');
    }
  });

  it.each([
    { cut: 'after' as const, count: 2 },
    { cut: 'before' as const, count: 2 },
  ])('is replaced once although the commit was cut $count times right $cut it', async ({ cut, count }) => {
    const account = await service.client.signUpAndIn();
    const token = await linkFor(account);
    const password = newPassword();
    proxy.cuts = 0;
    proxy.cutNext(COMMIT, cut, count);
    expect((await reset(token, password)).status).toBe(204);
    expect(proxy.cuts).toBe(count);
    expectProblem(await service.client.me(account.pair.access_token), 'access_token_revoked');
    const [user] = await database.sql('select credential_version from users where id = $1', [account.id]);
    expect(user).toEqual({ credential_version: 2 });
    expect(await mails.templatesTo(account.email)).toEqual(['password_reset', 'password_changed']);
    expect((await login({ ...account, password })).status).toBe(200);
  });

  it('is mailed about once although the commit was cut', async () => {
    const account = await service.client.signUp();
    proxy.cutNext(COMMIT, 'after', 2);
    expect((await forgot(account.email)).status).toBe(202);
    expect(await mails.templatesTo(account.email)).toEqual(['password_reset']);
  });

  it('invariant 4: ends the session of a login that was about to commit before its reset', async () => {
    const account = await service.client.signUp();
    const token = await linkFor(account);
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const first = login(account);
    await lock.untilWaiting(1);
    const second = reset(token, newPassword());
    await lock.untilWaiting(2);
    await lock.release();
    const pair = pairOf(await first);
    expect((await second).status).toBe(204);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    expectProblem(await otherInstance.client.refresh(pair.refresh_token), 'session_revoked');
  });

  it('invariant 4: opens no session for a login that checked it before its reset', async () => {
    const account = await service.client.signUp();
    const token = await linkFor(account);
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const first = reset(token, newPassword());
    await lock.untilWaiting(1);
    const second = login(account);
    await lock.untilWaiting(2);
    await lock.release();
    expect((await first).status).toBe(204);
    expectProblem(await second, 'invalid_credentials');
  });

  it('whose reset proves the address for the first time: it counts as proven, and no one who was there stays', async () => {
    const account = await service.client.signUpAndIn();
    const before = await database.sql('select email_verified_at from users where id = $1', [account.id]);
    expect(before).toEqual([{ email_verified_at: null }]);
    expect((await reset(await linkFor(account), newPassword())).status).toBe(204);
    const [first] = await database.sql('select email_verified_at from users where id = $1', [account.id]);
    expect(first).toEqual({ email_verified_at: expect.any(Date) });
    expect(
      await database.sql('select id from refresh_token_families where revoked_at is null and user_id = $1', [
        account.id,
      ]),
    ).toEqual([]);
    expect((await reset(await linkFor(account), newPassword())).status).toBe(204);
    expect(await database.sql('select email_verified_at from users where id = $1', [account.id])).toEqual([first]);
  });

  it('can be replaced where an account has none, which neither signs in nor changes it', async () => {
    const account = await service.client.signUpAndIn();
    await database.sql('update users set password_hash = null where id = $1', [account.id]);
    expectProblem(await login(account), 'invalid_credentials');
    expectProblem(
      await service.client.changePassword(account.pair.access_token, account.password, newPassword()),
      'invalid_credentials',
    );
    const password = newPassword();
    expect((await reset(await linkFor(account), password)).status).toBe(204);
    expect((await login({ ...account, password })).status).toBe(200);
    await database.sql('update users set password_hash = null where id = $1', [account.id]);
    await service.app.get(AccountsService).setPassword(account.id, account.password);
    expect((await login(account)).status).toBe(200);
  });

  it('has links that outlive a change of AUTH_SECRET while the old one is accepted, and no longer', async () => {
    const account = await service.client.signUp();
    const token = await linkFor(account);
    const during = await startService(database, {
      ...MAIL_ON,
      AUTH_SECRET: OTHER_SECRET,
      AUTH_SECRET_ACCEPTED: AUTH_SECRET,
    });
    expect((await reset(token, newPassword(), during)).status).toBe(204);
    await during.stop();
    // Of another database, because the signing keys of this one are encrypted under the old secret.
    const elsewhere = await createTestDatabase();
    const after = await startService(elsewhere, { ...MAIL_ON, AUTH_SECRET: OTHER_SECRET });
    expectProblem(await reset(token, newPassword(), after), 'ticket_invalid');
    await after.stop();
    await elsewhere.close();
  });

  it('is never named in a log, nor is the link that replaces it', async () => {
    const account = await service.client.signUpAndIn();
    const token = await linkFor(account);
    const password = newPassword();
    expect((await reset(token, password)).status).toBe(204);
    expectProblem(await reset(token, password), 'ticket_invalid');
    const log = JSON.stringify(service.logs);
    for (const secret of [token, token.slice(4), password, account.email]) {
      expect(log).not.toContain(secret);
    }
  });
});

describe('what goes by mail', () => {
  const { database, service } = useService();

  it('has no route where mail is off, and what changes an account sends none', async () => {
    const account = await service.client.signUpAndIn();
    const authorization = { authorization: `Bearer ${account.pair.access_token}` };
    for (const path of [
      '/auth/password/forgot',
      '/auth/password/reset',
      '/auth/email',
      '/auth/email/confirm',
      '/auth/email/undo',
      '/auth/email/verification',
      '/auth/email/verify',
    ]) {
      expectProblem(await service.client.post(path, {}, authorization), 'not_found');
    }
    pairOf(await service.client.changePassword(account.pair.access_token, account.password, newPassword()));
    expect(await database.sql('select 1 from outgoing_mails union all select 1 from known_clients')).toEqual([]);
  });
});
