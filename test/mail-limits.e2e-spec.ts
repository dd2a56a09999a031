import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails, otherThan } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { newEmail, newPassword, pairOf } from './support/test-client.js';
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

describe('wrong codes of mails', () => {
  const database = useDatabase();
  const settings = {
    ...MAIL_ON,
    EMAIL_SIGN_IN: 'on',
    EMAIL_VERIFICATION: 'required',
    RATE_LIMITS: 'on',
    TRUSTED_PROXIES: '127.0.0.1',
  };
  const service = useInstance(database, settings);
  const otherInstance = useInstance(database, settings);
  const mails = new OutgoingMails(database, service);

  interface Asked {
    readonly ticket: string;
    readonly code: string;
    readonly link: string;
  }

  /** A registration, or a sign-in for an address that has an account or none. */
  async function asked(path: '/auth/register' | '/auth/email-code', email: string): Promise<Asked> {
    const body = path === '/auth/register' ? { email, password: newPassword() } : { email };
    const { ticket } = (await service.client.post(path, body)).body as { ticket: string };
    const [mail] = (await mails.to(email)).slice(-1);
    return { ticket, code: mail?.code ?? '00000000', link: mail?.token ?? '' };
  }

  const typed = (
    path: '/auth/register/complete' | '/auth/login/email-code',
    { ticket }: Asked,
    code: string,
    at: TestService = service,
  ): Promise<Response> => at.client.post(path, { ticket, code });

  const signIn = (ticket: Asked, code: string, at?: TestService): Promise<Response> =>
    typed('/auth/login/email-code', ticket, code, at);

  /** An account whose mailbox is proven. */
  async function proven(): Promise<string> {
    const email = newEmail();
    const registration = await asked('/auth/register', email);
    pairOf(await typed('/auth/register/complete', registration, registration.code));
    await allowMails();
    return email;
  }

  const allowMails = (): Promise<unknown> => database.sql(`delete from rate_limits where key like 'mail-%'`);

  it('are five in a row for an address, at once and over all instances, and then one in 30 s, with an account or without', async () => {
    for (const email of [await proven(), newEmail()]) {
      const tickets = [await asked('/auth/email-code', email), await asked('/auth/email-code', email)];
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, index) => {
          const ticket = tickets[index % 2]!;
          return signIn(ticket, otherThan(ticket.code), index % 4 < 2 ? service : otherInstance);
        }),
      );
      const codes = answers.map(({ body }) => (body as { code: string }).code);
      expect(codes.filter((code) => code === 'code_invalid')).toHaveLength(5);
      expect(codes.filter((code) => code === 'too_many_attempts')).toHaveLength(11);
      const refused = await signIn(tickets[0]!, tickets[0]!.code);
      expectProblem(refused, 'too_many_attempts');
      expect(refused.headers['retry-after']).toBe('30');
    }
  });

  it('are counted over all flows of an address, and a link is not held up by them', async () => {
    const email = await proven();
    const registration = await asked('/auth/register', email);
    for (let count = 0; count < 5; count += 1) {
      expectProblem(await typed('/auth/register/complete', registration, '00000000'), 'code_invalid');
    }
    const ticket = await asked('/auth/email-code', email);
    expectProblem(await signIn(ticket, ticket.code), 'too_many_attempts');
    pairOf(await service.client.post('/auth/login/email-code', { token: ticket.link }));
  });

  it('are forgotten with a right one, and a dead ticket adds none', async () => {
    const email = await proven();
    for (let round = 0; round < 2; round += 1) {
      const ticket = await asked('/auth/email-code', email);
      for (let count = 0; count < 4; count += 1) {
        expectProblem(await signIn(ticket, otherThan(ticket.code)), 'code_invalid');
      }
      pairOf(await signIn(ticket, ticket.code));
      for (let count = 0; count < 6; count += 1) {
        expectProblem(await signIn(ticket, otherThan(ticket.code)), 'ticket_invalid');
      }
    }
  });

  it('delay twice as long each time, and the right one after a delay ends that', async () => {
    const email = await proven();
    const first = await asked('/auth/email-code', email);
    for (let count = 0; count < 5; count += 1) {
      expectProblem(await signIn(first, otherThan(first.code)), 'code_invalid');
    }
    const second = await asked('/auth/email-code', email);
    const wait = (): Promise<unknown> => database.sql(`delete from rate_limits where key like 'code-gate:%'`);
    await wait();
    expectProblem(await signIn(second, otherThan(second.code)), 'code_invalid');
    expect((await signIn(second, second.code)).headers['retry-after']).toBe('60');
    await wait();
    pairOf(await signIn(second, second.code));
    const third = await asked('/auth/email-code', email);
    for (let count = 0; count < 4; count += 1) {
      expectProblem(await signIn(third, otherThan(third.code)), 'code_invalid');
    }
    pairOf(await signIn(third, third.code));
  });
});
