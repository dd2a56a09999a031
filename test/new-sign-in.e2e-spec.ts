import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { type Account, newPassword, pairOf } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
const CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36';

describe('a sign-in from a client that its user has never used', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const settings = { ...MAIL_ON, TRUSTED_PROXIES: '127.0.0.1' };
  const service = useInstance(proxy, { ...settings, NEW_SIGN_IN_MAILS: 'on' });
  const quiet = useInstance(proxy, settings);
  const mails = new OutgoingMails(database, service);

  const signIn = (
    { email, password }: Pick<Account, 'email' | 'password'>,
    userAgent: string,
    address = '203.0.113.7',
    at: TestService = service,
  ): Promise<Response> =>
    at.client.post('/auth/login', { email, password }, { 'user-agent': userAgent, 'x-forwarded-for': address });

  it('is mailed about once, and says when, with what and from which network; the first sign-in ever is not', async () => {
    const account = await service.client.signUp();
    pairOf(await signIn(account, FIREFOX));
    pairOf(await signIn(account, FIREFOX));
    pairOf(await signIn(account, FIREFOX.replaceAll('145.0', '146.0')));
    expect(await mails.to(account.email)).toEqual([]);
    pairOf(await signIn(account, CHROME));
    pairOf(await signIn(account, CHROME));
    expect(await mails.to(account.email)).toMatchObject([
      {
        template: 'new_sign_in',
        params: {
          at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
          client: 'Chrome, Windows',
          network: '203.0.113.7',
        },
      },
    ]);
    pairOf(await signIn(account, CHROME, '2001:db8:1:aa01::1'));
    pairOf(await signIn(account, CHROME, '2001:db8:1:aa02::1'));
    expect((await mails.to(account.email)).slice(1)).toMatchObject([{ params: { network: '2001:db8:1:aa00::/56' } }]);
  });

  it('is mailed about by every door that opens a session: a password change is one', async () => {
    const account = await service.client.signUp();
    const pair = pairOf(await signIn(account, FIREFOX));
    const changed = await service.client.post(
      '/auth/password',
      { current_password: account.password, new_password: newPassword() },
      { authorization: `Bearer ${pair.access_token}`, 'user-agent': CHROME, 'x-forwarded-for': '203.0.113.7' },
    );
    pairOf(changed);
    expect((await mails.templatesTo(account.email)).sort()).toEqual(['new_sign_in', 'password_changed']);
  });

  it('is mailed about once although the commit was cut, and not when it was refused', async () => {
    for (const cut of ['after', 'before'] as const) {
      const account = await service.client.signUp();
      pairOf(await signIn(account, FIREFOX));
      expect((await signIn({ ...account, password: newPassword() }, CHROME)).status).toBe(401);
      expect(await mails.to(account.email)).toEqual([]);
      proxy.cutNext(COMMIT, cut, 2);
      pairOf(await signIn(account, CHROME));
      expect(await mails.templatesTo(account.email)).toEqual(['new_sign_in']);
    }
  });

  it('is remembered with the latest 50 of its user, and forgotten with the account', async () => {
    const account = await service.client.signUp();
    const remembered = async (): Promise<number> =>
      (await database.sql('select 1 from known_clients where user_id = $1', [account.id])).length;
    for (let count = 0; count < 52; count += 1) {
      pairOf(await signIn(account, FIREFOX, `198.51.100.${count}`));
    }
    expect(await remembered()).toBe(50);
    // The two that were used least recently are new again.
    const before = (await mails.to(account.email)).length;
    pairOf(await signIn(account, FIREFOX, '198.51.100.51'));
    expect(await mails.to(account.email)).toHaveLength(before);
    pairOf(await signIn(account, FIREFOX, '198.51.100.0'));
    expect(await mails.to(account.email)).toHaveLength(before + 1);
    await service.app.get(AccountsService).delete(account.id);
    expect(await remembered()).toBe(0);
  });

  it('costs one statement more, and none where it is off', async () => {
    const account = await service.client.signUp();
    pairOf(await signIn(account, FIREFOX));
    const statements = recordStatements(proxy);
    pairOf(await signIn(account, FIREFOX));
    const withNotice = statements.length;
    pairOf(await signIn(account, CHROME, '203.0.113.7', quiet));
    expect([withNotice, statements.length - withNotice]).toEqual([6, 5]);
    expect(await mails.to(account.email)).toEqual([]);
  });
});
