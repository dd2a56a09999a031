import { beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { FakeFactor, RIGHT_CODE, WRONG_CODE } from './support/fake-factor.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, newPassword, pairOf } from './support/test-client.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

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
