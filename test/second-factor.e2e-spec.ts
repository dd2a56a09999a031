import { beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { FakeFactor, RIGHT_CODE, WRONG_CODE } from './support/fake-factor.js';
import { holdLock } from './support/held-lock.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, codeOf, newPassword, pairOf } from './support/test-client.js';
import { TicketDesk } from './support/ticket-desk.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const USER_ROW = 'select 1 from users where id = $1 for update';

const FACTORS_ON = { SECOND_FACTORS: 'on' };

interface SecondStep {
  readonly ticket: string;
  readonly expires_in: number;
  readonly factors: readonly string[];
}

describe('the second step of a sign-in', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, FACTORS_ON);
  let factor: FakeFactor;

  beforeAll(() => {
    factor = new FakeFactor(service);
  });

  async function signUp(): Promise<Account> {
    const account = await service.client.signUp();
    await factor.give(database, account);
    return account;
  }

  async function begin({ email, password }: Account): Promise<SecondStep> {
    const response = await service.client.login({ email, password });
    expect(response.status).toBe(403);
    return response.body as SecondStep;
  }

  const prove = (ticket: string, proof: object): Promise<Response> =>
    service.client.post('/auth/login/second-factor', { ticket, ...proof });

  it('is asked for by a problem with a ticket, and opens the session that the password alone did not', async () => {
    const account = await signUp();
    const { body, status } = await service.client.login({ email: account.email, password: account.password });
    expect([status, body]).toEqual([
      403,
      {
        type: 'urn:ratchet:problem:second_factor_required',
        title: 'Second factor required',
        status: 403,
        detail: 'The user has a second factor; prove one of those that are listed.',
        code: 'second_factor_required',
        ticket: expect.stringMatching(/^lg1\.[\w-]{66}$/) as string,
        expires_in: 300,
        factors: ['totp', 'recovery_code'],
        request_id: expect.any(String) as string,
      },
    ]);
    const pair = pairOf(await prove((body as SecondStep).ticket, { totp: RIGHT_CODE }));
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: account.id, amr: ['pwd', 'otp', 'mfa'], acr: 'aal2' });
    expect(claimsOf((await service.client.rotate(pair.refresh_token)).access_token)).toMatchObject({ acr: 'aal2' });
  });

  it('takes a ticket once, and says nothing about the proof that comes with a dead one', async () => {
    const { ticket } = await begin(await signUp());
    pairOf(await prove(ticket, { totp: RIGHT_CODE }));
    const { accepted } = factor;
    expectProblem(await prove(ticket, { totp: RIGHT_CODE }), 'ticket_invalid');
    expectProblem(await prove(ticket, { totp: WRONG_CODE }), 'ticket_invalid');
    expect(factor.accepted).toBe(accepted);
  });

  it('forgives four wrong proofs, and the fifth kills the ticket', async () => {
    const { ticket } = await begin(await signUp());
    for (let count = 0; count < 5; count += 1) {
      expectProblem(await prove(ticket, { totp: WRONG_CODE }), 'second_factor_invalid');
    }
    expectProblem(await prove(ticket, { totp: RIGHT_CODE }), 'ticket_invalid');
  });

  it('takes exactly one proof, of a kind that the service accepts', async () => {
    const { ticket } = await begin(await signUp());
    const one = { field: 'totp', message: 'exactly one of totp, recovery_code and passkey must be sent' };
    expectProblem(await prove(ticket, {}), 'validation_failed', [one]);
    expectProblem(await prove(ticket, { totp: RIGHT_CODE, recovery_code: 'A' }), 'validation_failed', [one]);
    expectProblem(await prove(ticket, { passkey: { ticket: 'wa1.', credential: {} } }), 'validation_failed', [
      { field: 'passkey', message: 'is not accepted by this service' },
    ]);
  });

  it.each(['before', 'after'] as const)('opens one session when its commit is cut right %s it', async (moment) => {
    const account = await signUp();
    const { ticket } = await begin(account);
    let [isJudged, isCut] = [false, false];
    proxy.cutWhen((text) => {
      isJudged ||= /\bjudged\b/.test(text);
      if (!isJudged || isCut || !/^commit/.test(text)) {
        return undefined;
      }
      isCut = true;
      return moment;
    });
    const pair = pairOf(await prove(ticket, { totp: RIGHT_CODE }));
    expect(isCut).toBe(true);
    expect(claimsOf(pair.access_token)).toMatchObject({ amr: ['pwd', 'otp', 'mfa'], acr: 'aal2' });
    expect(await database.sql('select amr from refresh_token_families where user_id = $1', [account.id])).toEqual([
      { amr: ['pwd', 'otp', 'mfa'] },
    ]);
  });
});

describe('ten wrong second factors in a row', () => {
  const database = useDatabase();
  const service = useInstance(database, { ...FACTORS_ON, ...MAIL_ON, RATE_LIMITS: 'on' });
  const mails = new OutgoingMails(database, service);

  it('warn the user by one mail, and start again after a right one', async () => {
    const factor = new FakeFactor(service);
    const account = await service.client.signUp();
    await factor.give(database, account);
    const prove = async (totp: string): Promise<Response> => {
      await database.sql(`delete from rate_limits where key like 'factor-gate%'`);
      const { body } = await service.client.login({ email: account.email, password: account.password });
      return service.client.post('/auth/login/second-factor', { ticket: (body as SecondStep).ticket, totp });
    };
    for (let count = 1; count <= 12; count += 1) {
      expectProblem(await prove(WRONG_CODE), 'second_factor_invalid');
      expect(await mails.templatesTo(account.email)).toEqual(count < 10 ? [] : ['second_factor_failures']);
    }
    pairOf(await prove(RIGHT_CODE));
    for (let count = 1; count <= 10; count += 1) {
      expectProblem(await prove(WRONG_CODE), 'second_factor_invalid');
    }
    expect(await mails.templatesTo(account.email)).toEqual(['second_factor_failures', 'second_factor_failures']);
  });
});

describe('a ticket of the second step', () => {
  const database = useDatabase();
  const service = useInstance(database, {
    ...FACTORS_ON,
    ...MAIL_ON,
    EMAIL_SIGN_IN: 'on',
    WEBAUTHN_RP_ID: 'localhost',
  });
  const proving = useInstance(database, { ...FACTORS_ON, ...MAIL_ON, EMAIL_VERIFICATION: 'required' });
  let factor: FakeFactor;

  beforeAll(() => {
    factor = new FakeFactor(service);
  });

  async function begin(): Promise<{ readonly account: Account; readonly ticket: string }> {
    const account = await service.client.signUp();
    await factor.give(database, account);
    const { body } = await service.client.login({ email: account.email, password: account.password });
    return { account, ticket: (body as SecondStep).ticket };
  }

  const prove = (ticket: string): Promise<Response> =>
    service.client.post('/auth/login/second-factor', { ticket, totp: RIGHT_CODE });

  const CHANGES = [
    ['a new password', ({ id }: Account) => service.app.get(AccountsService).setPassword(id, newPassword())],
    ['disabling', ({ id }: Account) => service.app.get(AccountsService).disable(id)],
    ['a reset of the factors', ({ id }: Account) => service.app.get(AccountsService).resetFactors(id)],
  ] as const;

  it.each(CHANGES)('dies with %s that comes between the steps', async (_change, make) => {
    const { account, ticket } = await begin();
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const change = make(account);
    await lock.untilWaiting(1);
    const second = prove(ticket);
    await lock.untilWaiting(2);
    await lock.release();
    await change;
    expectProblem(await second, 'ticket_invalid');
    expect(await database.sql('select 1 from refresh_token_families where user_id = $1', [account.id])).toEqual([]);
  });

  it.each(CHANGES)('opens a session that %s after it ends', async (_change, make) => {
    const { account, ticket } = await begin();
    const lock = await holdLock(database, USER_ROW, [account.id]);
    const second = prove(ticket);
    await lock.untilWaiting(1);
    const change = make(account);
    await lock.untilWaiting(2);
    await lock.release();
    await change;
    const pair = pairOf(await second);
    expect((await service.client.me(pair.access_token)).status).toBe(401);
    expect((await service.client.refresh(pair.refresh_token)).status).toBeGreaterThanOrEqual(401);
  });

  it('is refused everywhere else, as is that of a passkey, and both stay good', async () => {
    const { account, ticket } = await begin();
    const desk = new TicketDesk(service);
    const passkey = desk.tickets.tokenOf(await desk.issue('webauthn', { userId: account.id }), 'wa1');
    const proof = { totp: RIGHT_CODE };
    expectProblem(
      await service.client.post('/auth/login/second-factor', { ticket: passkey, ...proof }),
      'ticket_invalid',
    );
    for (const token of [ticket, passkey]) {
      const bearer = { authorization: `Bearer ${token}` };
      expectProblem(await service.client.me(token), 'access_token_invalid');
      expect((await service.client.get('/auth/verify', token)).status).toBe(401);
      expectProblem(await service.client.post('/auth/logout', {}, bearer), 'access_token_invalid');
      expectProblem(await service.client.logoutAll(token), 'access_token_invalid');
      expectProblem(await service.client.refresh(token), 'refresh_token_invalid');
      expectProblem(await service.client.logout({ refreshToken: token }), 'refresh_token_invalid');
      expect((await service.client.exchange(token)).body).toMatchObject({ error: 'invalid_grant' });
      for (const [at, path, body] of [
        [service, '/auth/login/email-code', { ticket: token, code: '12345678' }],
        [service, '/auth/login/email-code', { token }],
        [service, '/auth/password/reset', { token, new_password: newPassword() }],
        [service, '/auth/email/confirm', { ticket: token, code: '12345678' }],
        [service, '/auth/email/confirm', { token }],
        [service, '/auth/email/verify', { ticket: token, code: '12345678' }],
        [service, '/auth/email/undo', { token }],
        [proving, '/auth/register/complete', { ticket: token, code: '12345678' }],
        [proving, '/auth/register/complete', { token, password: newPassword() }],
      ] as const) {
        expect([path, codeOf(await at.client.post(path, body))]).toEqual([path, 'ticket_invalid']);
      }
    }
    pairOf(await prove(ticket));
  });
});

describe('a user with a second factor', () => {
  const { service, database } = useService();

  it('cannot sign in where second factors are off', async () => {
    const account = await service.client.signUp();
    await database.sql(`update users set second_factors = '{passkey,totp}' where id = $1`, [account.id]);
    const { status, body } = await service.client.login({ email: account.email, password: account.password });
    expect([status, body]).toMatchObject([403, { factors: ['totp', 'passkey', 'recovery_code'] }]);
    expect(body).not.toHaveProperty('ticket');
    expect(await database.sql('select 1 from tickets')).toEqual([]);
    expect((await service.client.post('/auth/login/second-factor', {})).status).toBe(404);
    expectProblem(await service.client.login({ email: account.email, password: newPassword() }), 'invalid_credentials');
  });
});
