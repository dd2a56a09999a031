import { beforeAll, describe, expect, it } from 'vitest';
import request, { type Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { FakeFactor, RIGHT_CODE } from './support/fake-factor.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import {
  type Account,
  claimsOf,
  newEmail,
  newPassword,
  pairOf,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';

const PAGE = 'http://localhost:5173';
const SETTINGS = { ...MAIL_ON, SECOND_FACTORS: 'on', EMAIL_SIGN_IN: 'on', COOKIE_ORIGINS: PAGE };

/** An access token or a refresh token. */
const TOKEN = /eyJ|rt1\./;

describe('every path to a session of a user who has a second factor', () => {
  const database = useDatabase();
  const service = useInstance(database, SETTINGS);
  const proving = useInstance(database, { ...SETTINGS, EMAIL_VERIFICATION: 'required' });
  const mails = new OutgoingMails(database, service);
  let factor: FakeFactor;

  beforeAll(() => {
    factor = new FakeFactor(service, proving);
  });

  const post = (path: string, body: object, pair?: TokenPair): Promise<Response> =>
    service.client.post(path, body, pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` });

  const login = ({ email, password }: Pick<Account, 'email' | 'password'>): Promise<Response> =>
    service.client.login({ email, password });

  /** An account whose address is proven, and whose factor is not yet. */
  async function proven(): Promise<Account> {
    const account = await service.client.signUp();
    await database.sql('update users set email_verified_at = now() where id = $1', [account.id]);
    return account;
  }

  async function withFactor(): Promise<Account> {
    const account = await proven();
    await factor.give(database, account);
    return account;
  }

  async function countSessions({ id }: Pick<Account, 'id'>): Promise<number> {
    return (await database.sql('select 1 from refresh_token_families where user_id = $1', [id])).length;
  }

  /** The answer has no token, there is no session, and the second step opens one that tells both factors. */
  async function expectSecondStep(account: Account, answer: Response, amr: readonly string[]): Promise<TokenPair> {
    const before = await countSessions(account);
    expect([answer.status, answer.body]).toMatchObject([
      403,
      { code: 'second_factor_required', expires_in: 300, factors: ['totp', 'recovery_code'] },
    ]);
    expect(answer.text).not.toMatch(TOKEN);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    const { ticket } = answer.body as { ticket: string };
    const pair = pairOf(await post('/auth/login/second-factor', { ticket, totp: RIGHT_CODE }));
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: account.id, amr, acr: 'aal2' });
    expect(await countSessions(account)).toBe(before + 1);
    return pair;
  }

  it('by the password asks for the factor', async () => {
    const account = await withFactor();
    const answer = await login(account);
    expect(await countSessions(account)).toBe(0);
    await expectSecondStep(account, answer, ['pwd', 'otp', 'mfa']);
  });

  it('by the password on a page with cookies asks for the factor, and sets them after it only', async () => {
    const { email, password } = await withFactor();
    const answer = await service.client.post('/auth/login', { email, password }, { origin: PAGE });
    expect(answer.status).toBe(403);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    const { ticket } = answer.body as { ticket: string };
    const done = await service.client.post('/auth/login/second-factor', { ticket, totp: RIGHT_CODE }, { origin: PAGE });
    expect([done.status, done.body]).toMatchObject([200, { token_type: 'Bearer' }]);
    expect(done.body).not.toHaveProperty('refresh_token');
    expect(done.headers['set-cookie']).toHaveLength(1);
  });

  it.each(['code', 'link'] as const)('by the %s of a mail asks for the factor', async (half) => {
    const account = await withFactor();
    const { ticket } = (await post('/auth/email-code', { email: account.email })).body as { ticket: string };
    const { code, token } = await mails.last(account.email, 'sign_in_code');
    const answer = await post('/auth/login/email-code', half === 'code' ? { ticket, code } : { token });
    expect(await countSessions(account)).toBe(0);
    await expectSecondStep(account, answer, ['otp', 'mfa']);
  });

  it('by a new password, which a mail has let set, asks for the factor', async () => {
    const account = await withFactor();
    await post('/auth/password/forgot', { email: account.email });
    const { token } = await mails.last(account.email, 'password_reset');
    const password = newPassword();
    const reset = await post('/auth/password/reset', { token, new_password: password });
    expect([reset.status, reset.text]).toEqual([204, '']);
    await expectSecondStep(account, await login({ ...account, password }), ['pwd', 'otp', 'mfa']);
  });

  it('by a registration of the address is none', async () => {
    const account = await withFactor();
    const { email } = account;
    expectProblem(await service.client.register({ email, password: newPassword() }), 'email_taken');
    const asked = await proving.client.register({ email, password: newPassword() });
    const { ticket } = asked.body as { ticket: string };
    expect(await mails.templatesTo(email)).toEqual(['address_taken']);
    const answer = await proving.client.post('/auth/register/complete', { ticket, code: '12345678' });
    expectProblem(answer, 'code_invalid');
    expect(await countSessions(account)).toBe(0);
  });

  it('by a password change takes a session that has proved both, lately', async () => {
    const account = await proven();
    const weak = await service.client.signIn(account);
    await factor.give(database, account);
    const password = newPassword();
    const change = (pair: TokenPair): Promise<Response> =>
      service.client.changePassword(pair.access_token, account.password, password);
    expectStepUpDemand(await change(weak), { acr: 'aal2', maxAge: 300 });
    const { ticket } = (await login(account)).body as { ticket: string };
    const strong = pairOf(await post('/auth/login/second-factor', { ticket, totp: RIGHT_CODE }));
    await database.sql(
      `update refresh_token_families set auth_time = clock_timestamp() - interval '310 s' where id = $1`,
      [sessionIdOf(strong)],
    );
    expectStepUpDemand(await change(await service.client.rotate(strong.refresh_token)), { acr: 'aal2', maxAge: 300 });
    // The first access token of the session tells when it was opened, and so is recent.
    const changed = pairOf(await change(strong));
    expect(claimsOf(changed.access_token)).toMatchObject({ amr: ['pwd', 'otp', 'mfa'], acr: 'aal2' });
    await expectSecondStep(account, await login({ ...account, password }), ['pwd', 'otp', 'mfa']);
  });

  it('by the undo of an e-mail change and the new password after it asks for the factor', async () => {
    const account = await withFactor();
    const pair = await expectSecondStep(account, await login(account), ['pwd', 'otp', 'mfa']);
    const newAddress = newEmail();
    const { ticket } = (await post('/auth/email', { new_email: newAddress }, pair)).body as { ticket: string };
    const { code } = await mails.last(newAddress, 'email_change');
    const { token: undoLink } = await mails.last(account.email, 'email_change_notice');
    const confirmed = await post('/auth/email/confirm', { ticket, code });
    expect([confirmed.status, confirmed.text]).toEqual([204, '']);
    const undone = await post('/auth/email/undo', { token: undoLink });
    expect([undone.status, undone.text]).toEqual([204, '']);
    const { token } = await mails.last(account.email, 'email_change_undone');
    const password = newPassword();
    expect((await post('/auth/password/reset', { token, new_password: password })).status).toBe(204);
    await expectSecondStep(account, await login({ ...account, password }), ['pwd', 'otp', 'mfa']);
  });

  it('by a refresh proves nothing more, and OAuth has no other grant', async () => {
    const account = await proven();
    const pair = await service.client.signIn(account);
    await factor.give(database, account);
    const rotated = await service.client.rotate(pair.refresh_token);
    const exchanged = (await service.client.exchange(rotated.refresh_token)).body as TokenPair;
    for (const { access_token } of [rotated, exchanged]) {
      expect(claimsOf(access_token)).toMatchObject({ amr: ['pwd'], acr: 'aal1' });
    }
    const { email: username, password } = account;
    const granted = await request(service.url)
      .post('/oauth/token')
      .type('form')
      .send({ grant_type: 'password', client_id: 'ratchet', username, password });
    expect([granted.status, granted.body]).toMatchObject([400, { error: 'unsupported_grant_type' }]);
  });
});

describe('factors that another person may have added', () => {
  const database = useDatabase();
  const service = useInstance(database, SETTINGS);
  const mails = new OutgoingMails(database, service);
  let factor: FakeFactor;

  beforeAll(() => {
    factor = new FakeFactor(service);
  });

  const post = (path: string, body: object, pair?: TokenPair): Promise<Response> =>
    service.client.post(path, body, pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` });

  const factorsOf = async ({ id }: Pick<Account, 'id'>): Promise<object | undefined> => {
    const [row] = await database.sql(
      `select (select second_factors from users where id = $1) as kinds,
         (select count(*)::integer from totp_factors where user_id = $1) as totp,
         (select count(*)::integer from passkeys where user_id = $1) as passkeys,
         (select count(*)::integer from recovery_codes where user_id = $1) as codes`,
      [id],
    );
    return row;
  };

  async function addPasskey({ id }: Pick<Account, 'id'>): Promise<void> {
    await database.sql(
      `with passkey as (
         insert into passkeys
           (id, user_id, rp_id, public_key, algorithm, sign_count, transports, aaguid, backup_eligible, backed_up, name,
            created_at)
         select decode(md5(random()::text), 'hex'), $1, 'localhost', '', -7, 0, '{}', gen_random_uuid(), false, false, '',
           clock_timestamp()
       )
       update users set second_factors = array_append(second_factors, 'passkey') where id = $1`,
      [id],
    );
  }

  const NONE = { kinds: [], totp: 0, passkeys: 0, codes: 0 };

  it('are removed by the first proof of the mailbox, which a mailed code is', async () => {
    const account = await service.client.signUp();
    await factor.give(database, account);
    await addPasskey(account);
    await post('/auth/email-code', { email: account.email });
    const { token } = await mails.last(account.email, 'sign_in_code');
    const pair = pairOf(await post('/auth/login/email-code', { token }));
    expect(claimsOf(pair.access_token)).toMatchObject({ amr: ['otp'], acr: 'aal1' });
    expect(await factorsOf(account)).toEqual(NONE);
  });

  it('are removed by the first proof of the mailbox, which the reset of a password is, and no later reset removes any', async () => {
    const account = await service.client.signUp();
    await factor.give(database, account);
    const reset = async (): Promise<Response> => {
      await post('/auth/password/forgot', { email: account.email });
      const { token } = await mails.last(account.email, 'password_reset');
      const password = newPassword();
      expect((await post('/auth/password/reset', { token, new_password: password })).status).toBe(204);
      return service.client.login({ email: account.email, password });
    };
    expect((await reset()).status).toBe(200);
    expect(await factorsOf(account)).toEqual(NONE);
    await factor.give(database, account);
    expect((await reset()).status).toBe(403);
    expect(await factorsOf(account)).toEqual({ kinds: ['totp'], totp: 1, passkeys: 0, codes: 10 });
  });

  it('are removed by the undo of an e-mail change if they were added since it was asked for, and older ones stay', async () => {
    const account = await service.client.signUpAndIn();
    await factor.give(database, account);
    await database.sql('update users set email_verified_at = now() where id = $1', [account.id]);
    expect((await post('/auth/email', { new_email: newEmail() }, account.pair)).status).toBe(202);
    const { token } = await mails.last(account.email, 'email_change_notice');
    await addPasskey(account);
    await database.sql(
      `update recovery_codes set created_at = clock_timestamp() where user_id = $1 and code_hash > '\\x05'`,
      [account.id],
    );
    expect((await post('/auth/email/undo', { token })).status).toBe(204);
    expect(await factorsOf(account)).toEqual({ kinds: ['totp'], totp: 1, passkeys: 0, codes: 5 });
  });

  it('are all removed by that undo if all were added since, and the recovery codes with them', async () => {
    const account = await service.client.signUpAndIn();
    expect((await post('/auth/email', { new_email: newEmail() }, account.pair)).status).toBe(202);
    const { token } = await mails.last(account.email, 'email_change_notice');
    await factor.give(database, account);
    await addPasskey(account);
    expect((await post('/auth/email/undo', { token })).status).toBe(204);
    expect(await factorsOf(account)).toEqual(NONE);
    const { token: link } = await mails.last(account.email, 'email_change_undone');
    const password = newPassword();
    expect((await post('/auth/password/reset', { token: link, new_password: password })).status).toBe(204);
    pairOf(await service.client.login({ email: account.email, password }));
  });

  it('are gone with the account, an unconfirmed one too', async () => {
    const account = await service.client.signUp();
    await factor.give(database, account);
    await addPasskey(account);
    await database.sql('update totp_factors set confirmed_at = null where user_id = $1', [account.id]);
    await service.app.get(AccountsService).delete(account.id);
    expect(await factorsOf(account)).toEqual({ ...NONE, kinds: null });
  });
});
