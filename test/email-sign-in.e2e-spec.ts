import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails, otherThan } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { type Account, claimsOf, newEmail, newPassword, pairOf } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

describe('a sign-in by a code in a mail', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const settings = { ...MAIL_ON, EMAIL_SIGN_IN: 'on' };
  const service = useInstance(proxy, settings);
  const otherInstance = useInstance(database, settings);
  const off = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  const ask = (email: string): Promise<Response> => service.client.post('/auth/email-code', { email });

  const signIn = (body: object, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/login/email-code', body);

  async function asked(email: string): Promise<{ ticket: string; code: string; link: string }> {
    const answer = await ask(email);
    expect([answer.status, answer.body]).toEqual([
      202,
      { ticket: expect.stringMatching(/^sc1\.[\w-]{66}$/), expires_in: 600 },
    ]);
    const { code, token: link } = await mails.last(email, 'sign_in_code');
    return { ticket: (answer.body as { ticket: string }).ticket, code, link };
  }

  /** An account whose mailbox has been proven. */
  async function proven(): Promise<Account> {
    const account = await service.client.signUp();
    await database.sql('update users set email_verified_at = now() where id = $1', [account.id]);
    return account;
  }

  it('opens a session by the code and by the link, once each, beside those that are open', async () => {
    const account = await proven();
    const before = await service.client.signIn(account);
    for (const way of ['code', 'link'] as const) {
      const { ticket, code, link } = await asked(account.email);
      const body = way === 'code' ? { ticket, code } : { token: link };
      const pair = pairOf(await signIn(body, otherInstance));
      expect(claimsOf(pair.access_token)).toMatchObject({ sub: account.id, amr: ['otp'], acr: 'aal1' });
      expectProblem(await signIn({ ticket, code }), 'ticket_invalid');
      expectProblem(await signIn({ token: link }), 'ticket_invalid');
    }
    expect((await service.client.me(before.access_token)).status).toBe(200);
    expect((await service.client.login({ email: account.email, password: account.password })).status).toBe(200);
  });

  it('that proves a mailbox for the first time puts out who was there before, and removes the password', async () => {
    const attacker = await service.client.signUpAndIn();
    const { ticket, code } = await asked(attacker.email);
    const pair = pairOf(await signIn({ ticket, code }));
    expectProblem(await service.client.me(attacker.pair.access_token), 'access_token_revoked');
    expectProblem(await service.client.refresh(attacker.pair.refresh_token), 'session_revoked');
    expectProblem(
      await service.client.login({ email: attacker.email, password: attacker.password }),
      'invalid_credentials',
    );
    expect((await service.client.me(pair.access_token)).body).toMatchObject({ email_verified: true });
    expect(await mails.templatesTo(attacker.email)).toEqual(['sign_in_code', 'password_changed']);
  });

  it('tells nobody whether an address has an account: answers, headers, statements and wrong codes are equal', async () => {
    const known = await proven();
    const disabled = await proven();
    await service.app.get(AccountsService).disable(disabled.id);
    const statements = recordStatements(proxy);
    const seen = new Set<string>();
    for (const email of [known.email, disabled.email, newEmail(), newEmail()]) {
      const from = statements.length;
      const { status, body, headers } = await ask(email);
      const { ticket, ...rest } = body as { ticket: string };
      const told = Object.entries(headers).filter(([name]) => !['date', 'x-request-id'].includes(name));
      const codes = [];
      for (let count = 0; count < 6; count += 1) {
        codes.push(((await signIn({ ticket, code: '00000000' })).body as { code: string }).code);
      }
      seen.add(JSON.stringify({ status, length: ticket.length, rest, told, codes, sent: statements.slice(from) }));
      expect(codes).toEqual([...Array<string>(5).fill('code_invalid'), 'ticket_invalid']);
    }
    expect([...seen]).toHaveLength(1);
    expect(await mails.to(disabled.email)).toEqual([]);
  });

  it('is used once by 50 presentations, and never by a ticket of another user or purpose', async () => {
    const account = await proven();
    const { ticket, code, link } = await asked(account.email);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        signIn(index % 2 === 0 ? { ticket, code } : { token: link }, index % 4 < 2 ? service : otherInstance),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const other = await asked((await proven()).email);
    expectProblem(await signIn({ ticket: other.ticket, code: otherThan(other.code) }), 'code_invalid');
    for (const wrong of [other.ticket, `sl1.${other.ticket.slice(4)}`, '']) {
      expectProblem(await signIn({ token: wrong }), 'ticket_invalid');
    }
  });

  it('has ten minutes, and dies with a password change, disabling and deletion', async () => {
    const accounts = service.app.get(AccountsService);
    const events: ((account: Account) => Promise<unknown>)[] = [
      ({ id }) =>
        database.sql(`update tickets set expires_at = expires_at - interval '601 s' where user_id = $1`, [id]),
      ({ id }) => accounts.setPassword(id, newPassword()),
      ({ id }) => accounts.disable(id),
      ({ id }) => accounts.delete(id),
    ];
    for (const event of events) {
      const account = await proven();
      const { ticket, code, link } = await asked(account.email);
      await event(account);
      expectProblem(await signIn({ token: link }), 'ticket_invalid');
      expectProblem(await signIn({ ticket, code }), 'ticket_invalid');
    }
  });

  it.each([{ cut: 'after' as const }, { cut: 'before' as const }])(
    'opens one session although the commit was cut right $cut it',
    async ({ cut }) => {
      const account = await service.client.signUpAndIn();
      const { ticket, code } = await asked(account.email);
      proxy.cutNext(COMMIT, cut, 2);
      const pair = pairOf(await signIn({ ticket, code }));
      expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
      expect(
        await database.sql('select 1 from refresh_token_families where user_id = $1 and revoked_at is null', [
          account.id,
        ]),
      ).toHaveLength(1);
      expectProblem(await service.client.me(account.pair.access_token), 'access_token_revoked');
    },
  );

  it('has a code that stands in no log and no table', async () => {
    const { email } = await proven();
    const { ticket, code } = await asked(email);
    expectProblem(await signIn({ ticket, code: otherThan(code) }), 'code_invalid');
    pairOf(await signIn({ ticket, code }));
    const [stored] = await database.sql(
      `select (select json_agg(tickets) from tickets) as tickets, (select json_agg(mails) from outgoing_mails mails) as mails`,
    );
    expect(JSON.stringify(stored)).toContain(email);
    for (const seen of [service.logs, stored]) {
      expect(JSON.stringify(seen)).not.toContain(code);
    }
  });

  it('has no route unless EMAIL_SIGN_IN is on', async () => {
    expectProblem(await off.client.post('/auth/email-code', { email: newEmail() }), 'not_found');
    expectProblem(await off.client.post('/auth/login/email-code', {}), 'not_found');
  });
});
