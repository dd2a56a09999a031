import { describe, expect, it } from 'vitest';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { type Account, codeOf, newEmail, newPassword, pairOf } from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly tags?: readonly string[] }>>>>;
}

interface Asked {
  readonly account: Account;
  readonly authorization: { readonly authorization: string };
  /** The tokens of the links, by purpose. */
  readonly links: Readonly<
    Record<
      'registration' | 'password_reset' | 'sign_in_code' | 'email_verification' | 'email_change' | 'email_change_undo',
      string
    >
  >;
  readonly coded: readonly { readonly purpose: string; readonly ticket: string; readonly code: string }[];
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

const OTHER_SECRET = 'auth-secret-to-come-of-the-tests-Hn5Wd8Qx2Vk7Zr3M';
const SETTINGS = { ...MAIL_ON, EMAIL_VERIFICATION: 'required', EMAIL_SIGN_IN: 'on' };

/** Where each purpose is redeemed. */
const REDEEMED_AT: readonly {
  readonly path: string;
  readonly purpose: keyof Asked['links'];
  readonly extra?: object;
  readonly takesCode: boolean;
}[] = [
  {
    path: '/auth/register/complete',
    purpose: 'registration',
    extra: { password: newPassword() },
    takesCode: true,
  },
  { path: '/auth/login/email-code', purpose: 'sign_in_code', takesCode: true },
  { path: '/auth/password/reset', purpose: 'password_reset', extra: { new_password: newPassword() }, takesCode: false },
  { path: '/auth/email/confirm', purpose: 'email_change', takesCode: true },
  { path: '/auth/email/undo', purpose: 'email_change_undo', takesCode: false },
  { path: '/auth/email/verify', purpose: 'email_verification', takesCode: true },
];

describe('what a mail lets in', () => {
  const database = useDatabase();
  const service = useInstance(database, SETTINGS);
  const open = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  /** Asks for every mail there is. */
  async function askedForAll(): Promise<Asked> {
    const account = await open.client.signUpAndIn();
    const [pending, newAddress] = [newEmail(), newEmail()];
    const authorization = { authorization: `Bearer ${account.pair.access_token}` };
    const ask = async (path: string, body: object, headers = {}): Promise<string> =>
      ((await service.client.post(path, body, headers)).body as { ticket: string }).ticket;
    const tickets = {
      registration: await ask('/auth/register', { email: pending, password: newPassword() }),
      sign_in_code: await ask('/auth/email-code', { email: account.email }),
      email_verification: await ask('/auth/email/verification', {}, authorization),
      email_change: await ask('/auth/email', { new_email: newAddress }, authorization),
    };
    await service.client.post('/auth/password/forgot', { email: account.email });
    const sent = {
      registration: await mails.last(pending, 'registration'),
      sign_in_code: await mails.last(account.email, 'sign_in_code'),
      email_verification: await mails.last(account.email, 'email_verification'),
      email_change: await mails.last(newAddress, 'email_change'),
    };
    return {
      account,
      authorization,
      links: {
        registration: sent.registration.token,
        password_reset: (await mails.last(account.email, 'password_reset')).token,
        sign_in_code: sent.sign_in_code.token,
        email_verification: sent.email_verification.token,
        email_change: sent.email_change.token,
        email_change_undo: (await mails.last(account.email, 'email_change_notice')).token,
      },
      coded: (Object.keys(tickets) as (keyof typeof tickets)[]).map((purpose) => ({
        purpose,
        ticket: tickets[purpose],
        code: sent[purpose].code,
      })),
    };
  }

  it('is neither used up nor sent again by any request that needs no click', async () => {
    const { account, authorization, links: tokens } = await askedForAll();
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

  it('passes at the route that it is for and at no other, nor as a token of a session', async () => {
    const { authorization, links, coded } = await askedForAll();
    const before = await stateOf();
    for (const { path, purpose: own, extra = {}, takesCode } of REDEEMED_AT) {
      const others = [
        ...Object.entries(links).map(([purpose, token]) => ({ purpose, body: { token, ...extra } })),
        ...coded.map(({ purpose, ticket }) => ({ purpose: `ticket of ${purpose}`, body: { token: ticket, ...extra } })),
        ...(takesCode ? coded.map(({ purpose, ticket, code }) => ({ purpose, body: { ticket, code } })) : []),
        ...(takesCode ? coded.map(({ code }) => ({ purpose: 'link', body: { ticket: links[own], code } })) : []),
      ];
      for (const { purpose, body } of others.filter((each) => each.purpose !== own)) {
        const answer = await service.client.post(path, body, authorization);
        expect({ path, purpose, status: answer.status, code: codeOf(answer) }).toEqual({
          path,
          purpose,
          status: 401,
          code: 'ticket_invalid',
        });
      }
    }
    for (const token of [...Object.values(links), ...coded.map(({ ticket }) => ticket)]) {
      expectProblem(await service.client.me(token), 'access_token_invalid');
      expectProblem(await service.client.refresh(token), 'refresh_token_invalid');
    }
    expect(await stateOf()).toEqual(before);
  });

  it('outlives a change of AUTH_SECRET while the old one is accepted, and no longer', async () => {
    const { coded, links } = await askedForAll();
    const { ticket, code } = coded.find(({ purpose }) => purpose === 'registration')!;
    const during = await startService(database, {
      ...SETTINGS,
      AUTH_SECRET: OTHER_SECRET,
      AUTH_SECRET_ACCEPTED: AUTH_SECRET,
    });
    // Of another database, because the signing keys of this one are encrypted under the old secret.
    const elsewhere = await createTestDatabase();
    const after = await startService(elsewhere, { ...SETTINGS, AUTH_SECRET: OTHER_SECRET });
    const byCode = { path: '/auth/register/complete', body: { ticket, code } };
    const byLink = { path: '/auth/login/email-code', body: { token: links.sign_in_code } };
    for (const { path, body } of [byCode, byLink]) {
      expectProblem(await after.client.post(path, body), 'ticket_invalid');
      pairOf(await during.client.post(path, body));
    }
    await during.stop();
    await after.stop();
    await elsewhere.close();
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
