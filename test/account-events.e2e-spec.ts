import { describe, expect, it } from 'vitest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { type Account, newEmail, newPassword, type TokenPair } from './support/test-client.js';
import { useService } from './support/use-service.js';

type SignedIn = Account & { readonly pair: TokenPair };

/** What happened to what an account had: `pair` and one more session, and tickets of every kind. */
interface Outcome {
  readonly sessions: 'all end' | 'all end but the one that asked' | 'all stay';
  readonly tickets: 'all die' | 'all stay';
  /** To the address that the account had. */
  readonly mails: readonly string[];
  readonly mailsToNewAddress?: readonly string[];
}

interface Event extends Outcome {
  readonly what: string;
  readonly happen: (account: SignedIn, stage: Stage) => Promise<void>;
}

interface Stage {
  readonly newAddress: string;
  readonly link: (template: string, address?: string) => Promise<string>;
  readonly code: (template: string, address?: string) => Promise<string>;
}

/** Sessions and tickets that were there when something happened to an account, by the table of docs/api.md. */
describe('what happens to an account', () => {
  const { database, service } = useService(MAIL_ON);
  const mails = new OutgoingMails(database, service);
  const post = (path: string, body: object, pair?: TokenPair): ReturnType<typeof service.client.post> =>
    service.client.post(path, body, pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` });

  const accounts = (): AccountsService => service.app.get(AccountsService);

  const EVENTS: readonly Event[] = [
    {
      what: 'a password reset',
      happen: async (account, { link }) => {
        await post('/auth/password/forgot', { email: account.email });
        const token = await link('password_reset');
        expect((await post('/auth/password/reset', { token, new_password: newPassword() })).status).toBe(204);
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: ['password_reset', 'password_changed'],
    },
    {
      what: 'a password change',
      happen: async (account) => {
        const { status } = await service.client.changePassword(
          account.pair.access_token,
          account.password,
          newPassword(),
        );
        expect(status).toBe(200);
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: ['password_changed'],
    },
    {
      what: "an operator's new password",
      happen: async ({ id }) => {
        await accounts().setPassword(id, newPassword());
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: [],
    },
    {
      what: 'a confirmed change of the address',
      happen: async (account, { newAddress, code }) => {
        const { ticket } = (await post('/auth/email', { new_email: newAddress }, account.pair)).body as {
          ticket: string;
        };
        const body = { ticket, code: await code('email_change', newAddress) };
        expect((await post('/auth/email/confirm', body)).status).toBe(204);
      },
      sessions: 'all end but the one that asked',
      tickets: 'all die',
      mails: ['email_change_notice', 'email_changed'],
      mailsToNewAddress: ['email_change', 'email_changed'],
    },
    {
      what: 'a change of the address that is only asked for',
      happen: async (account, { newAddress }) => {
        expect((await post('/auth/email', { new_email: newAddress }, account.pair)).status).toBe(202);
      },
      sessions: 'all stay',
      tickets: 'all stay',
      mails: ['email_change_notice'],
      mailsToNewAddress: ['email_change'],
    },
    {
      what: 'an undone change of the address',
      happen: async (account, { newAddress, link }) => {
        await post('/auth/email', { new_email: newAddress }, account.pair);
        const token = await link('email_change_notice');
        expect((await post('/auth/email/undo', { token })).status).toBe(204);
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: ['email_change_notice', 'email_change_undone'],
      mailsToNewAddress: ['email_change'],
    },
    {
      what: 'a proof of the address',
      happen: async (account, { link }) => {
        await post('/auth/email/verification', {}, account.pair);
        const token = await link('email_verification');
        expect((await post('/auth/email/verify', { token }, account.pair)).status).toBe(204);
      },
      sessions: 'all stay',
      tickets: 'all stay',
      mails: ['email_verification'],
    },
    {
      what: 'a logout everywhere',
      happen: async ({ pair }) => {
        expect((await service.client.logoutAll(pair.access_token)).status).toBe(204);
      },
      sessions: 'all end',
      tickets: 'all stay',
      mails: [],
    },
    {
      what: 'disabling and enabling',
      happen: async ({ id }) => {
        await accounts().disable(id);
        await accounts().enable(id);
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: [],
    },
    {
      what: 'deletion',
      happen: async ({ id }) => {
        await accounts().delete(id);
      },
      sessions: 'all end',
      tickets: 'all die',
      mails: [],
    },
  ];

  it.each(EVENTS)(
    '$what: sessions $sessions, tickets $tickets, mails are $mails',
    async ({ happen, sessions, tickets, mails: expectedMails, mailsToNewAddress = [] }) => {
      const account = await service.client.signUpAndIn();
      const other = await service.client.signIn(account);
      // Two tickets that nothing of the event uses: a reset, and a change to another address.
      const elsewhere = newEmail();
      await post('/auth/password/forgot', { email: account.email });
      const pendingReset = await mails.last(account.email, 'password_reset');
      const change = (await post('/auth/email', { new_email: elsewhere }, other)).body as { ticket: string };
      const pendingChange = await mails.last(elsewhere, 'email_change');
      const before = (await mails.to(account.email)).length;

      const newAddress = newEmail();
      await happen(account, {
        newAddress,
        link: async (template, address = account.email) => (await mails.last(address, template)).token,
        code: async (template, address = account.email) => (await mails.last(address, template)).code,
      });

      const isLive = async (pair: TokenPair): Promise<boolean> =>
        (await service.client.me(pair.access_token)).status === 200;
      expect({ asked: await isLive(account.pair), other: await isLive(other) }).toEqual({
        asked: sessions !== 'all end',
        other: sessions === 'all stay',
      });
      expect({
        account: (await mails.templatesTo(account.email)).slice(before),
        newAddress: await mails.templatesTo(newAddress),
      }).toEqual({ account: expectedMails, newAddress: mailsToNewAddress });
      // The change first: a reset would kill it.
      const statuses = [
        (await post('/auth/email/confirm', { ticket: change.ticket, code: pendingChange.code })).status,
      ];
      if (tickets === 'all die') {
        const reset = { token: pendingReset.token, new_password: newPassword() };
        statuses.push((await post('/auth/password/reset', reset)).status);
      }
      expect(new Set(statuses)).toEqual(new Set([tickets === 'all stay' ? 204 : 401]));
    },
  );

  it('an account that asks for nothing costs no mail', async () => {
    const account = await service.client.signUpAndIn();
    await service.client.refresh(account.pair.refresh_token);
    await service.client.logout({ refreshToken: account.pair.refresh_token });
    expect(await mails.to(account.email)).toEqual([]);
  });
});
