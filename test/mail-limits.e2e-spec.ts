import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { newEmail } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

describe('mails that clients ask for', () => {
  const database = useDatabase();
  const settings = { ...MAIL_ON, RATE_LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' };
  const service = useInstance(database, settings);
  const otherInstance = useInstance(database, settings);
  const mails = new OutgoingMails(database, service);
  let networks = 0;

  const newNetwork = (): string => `203.0.113.${(networks += 1)}`;

  const forgot = (email: string, address = newNetwork(), at: TestService = service): Promise<Response> =>
    at.client.post('/auth/password/forgot', { email }, { 'x-forwarded-for': address });

  it('are three to an address in 15 minutes, over all instances and networks, whether or not it has an account', async () => {
    const account = await service.client.signUp();
    for (const email of [account.email, newEmail()]) {
      for (const at of [service, otherInstance, service]) {
        expect((await forgot(email.toUpperCase(), newNetwork(), at)).status).toBe(202);
      }
      const refused = await forgot(email);
      expectProblem(refused, 'too_many_attempts');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(800);
    }
    expect(await mails.to(account.email)).toHaveLength(3);
  });

  it('are counted over all flows together', async () => {
    const account = await service.client.signUpAndIn();
    const headers = { authorization: `Bearer ${account.pair.access_token}` };
    const verify = (): Promise<Response> => service.client.post('/auth/email/verification', {}, headers);
    expect([(await verify()).status, (await forgot(account.email)).status, (await verify()).status]).toEqual([
      202, 202, 202,
    ]);
    expectProblem(await verify(), 'too_many_attempts');
    expectProblem(await forgot(account.email), 'too_many_attempts');
    const asker = await service.client.signUpAndIn();
    expectProblem(
      await service.client.post(
        '/auth/email',
        { new_email: account.email },
        { authorization: `Bearer ${asker.pair.access_token}` },
      ),
      'too_many_attempts',
    );
    expect(await mails.to(asker.email)).toEqual([]);
  });

  it('are ten to an address in a day', async () => {
    const email = newEmail();
    for (let round = 0; round < 4; round += 1) {
      const statuses = [await forgot(email), await forgot(email), await forgot(email)].map(({ status }) => status);
      expect(statuses).toEqual(round < 3 ? [202, 202, 202] : [202, 429, 429]);
      // The windows of 15 minutes end, those of a day do not.
      await database.sql(`delete from rate_limits where expire < (extract(epoch from now()) + 3600) * 1000`);
    }
  });

  it('are twenty by a network in 15 minutes', async () => {
    const network = newNetwork();
    const statuses: number[] = [];
    for (let count = 0; count < 22; count += 1) {
      statuses.push((await forgot(newEmail(), network)).status);
    }
    expect(statuses).toEqual([...Array<number>(20).fill(202), 429, 429]);
    expect((await forgot(newEmail())).status).toBe(202);
  });

  it('are not counted when the request is none', async () => {
    const network = newNetwork();
    for (let count = 0; count < 25; count += 1) {
      expectProblem(await forgot('nobody', network), 'validation_failed', [
        { field: 'email', message: 'must be an e-mail address' },
      ]);
    }
    expect((await forgot(newEmail(), network)).status).toBe(202);
  });
});
