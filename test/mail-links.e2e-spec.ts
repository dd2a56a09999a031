import { describe, expect, it } from 'vitest';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { newEmail, newPassword, pairOf } from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly tags?: readonly string[] }>>>>;
}

/** What a mail program, a scanner of links or a browser that prefetches may send on its own. */
const SENT_WITHOUT_A_CLICK = [
  { method: 'GET', headers: {} },
  { method: 'GET', headers: { 'sec-purpose': 'prefetch', purpose: 'prefetch' } },
  { method: 'HEAD', headers: {} },
  { method: 'OPTIONS', headers: {} },
  {
    method: 'OPTIONS',
    headers: { origin: 'https://scanner.example.com', 'access-control-request-method': 'POST' },
  },
  { method: 'PUT', headers: {} },
  { method: 'DELETE', headers: {} },
];

describe('what a mail lets in', () => {
  const database = useDatabase();
  const service = useInstance(database, { ...MAIL_ON, EMAIL_VERIFICATION: 'required', EMAIL_SIGN_IN: 'on' });
  const open = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  it('is neither used up nor sent again by any request that needs no click', async () => {
    const account = await open.client.signUpAndIn();
    const [pending, newAddress] = [newEmail(), newEmail()];
    const authorization = { authorization: `Bearer ${account.pair.access_token}` };
    await service.client.post('/auth/register', { email: pending, password: newPassword() });
    await service.client.post('/auth/password/forgot', { email: account.email });
    await service.client.post('/auth/email-code', { email: account.email });
    await service.client.post('/auth/email/verification', {}, authorization);
    await service.client.post('/auth/email', { new_email: newAddress }, authorization);
    const tokens = {
      registration: (await mails.last(pending, 'registration')).token,
      password_reset: (await mails.last(account.email, 'password_reset')).token,
      sign_in_code: (await mails.last(account.email, 'sign_in_code')).token,
      email_verification: (await mails.last(account.email, 'email_verification')).token,
      email_change: (await mails.last(newAddress, 'email_change')).token,
      email_change_undo: (await mails.last(account.email, 'email_change_notice')).token,
    };
    const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as Document;
    const paths = Object.entries(document.paths)
      .filter(([path, { post }]) => post?.tags?.includes('mail') === true || path.startsWith('/auth/register'))
      .map(([path]) => path);
    expect(paths).toHaveLength(11);
    const before = await stateOf();

    for (const path of paths) {
      for (const [purpose, token] of Object.entries(tokens)) {
        const query = new URLSearchParams({ token, ticket: token, email: account.email, [purpose]: token });
        for (const { method, headers } of SENT_WITHOUT_A_CLICK) {
          const { status } = await fetch(`${service.url}${path}?${query.toString()}`, {
            method,
            headers: { ...headers, ...authorization },
          });
          const expected = 'access-control-request-method' in headers ? [204, 405] : [405];
          expect({ path, method, isExpected: expected.includes(status), status }).toMatchObject({ isExpected: true });
        }
      }
    }

    expect(await stateOf()).toEqual(before);
    const signedIn = await service.client.post('/auth/login/email-code', { token: tokens.sign_in_code });
    expect(pairOf(signedIn).access_token).not.toBe('');
  });

  /** Everything that a link could change. When a mail is sent is the worker's business. */
  async function stateOf(): Promise<object> {
    return {
      tickets: await database.sql('select id, attempts, consumed_at from tickets order by id'),
      users: await database.sql('select id, email, credential_version, email_verified_at from users order by id'),
      families: await database.sql('select id, revoked_at from refresh_token_families order by id'),
      mails: await database.sql('select id, template from outgoing_mails where recipient is not null order by id'),
    };
  }
});
