import { describe, expect, it, vi } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { PasswordHasherService } from '../src/users/password-hasher.service.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails, otherThan } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { claimsOf, newEmail, newPassword, pairOf } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

describe('a registration with a proof of the address', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const settings = { ...MAIL_ON, EMAIL_VERIFICATION: 'required' };
  const service = useInstance(proxy, settings);
  const otherInstance = useInstance(database, settings);
  const open = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  const register = (email: string, password: string, headers = {}): Promise<Response> =>
    service.client.post('/auth/register', { email, password }, headers);

  const complete = (body: object, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/register/complete', body);

  async function begun(
    email = newEmail(),
  ): Promise<{ email: string; password: string; ticket: string; code: string; link: string }> {
    const password = newPassword();
    const answer = await register(email, password);
    expect([answer.status, answer.body]).toEqual([
      202,
      { ticket: expect.stringMatching(/^rg1\.[\w-]{66}$/), expires_in: 86_400 },
    ]);
    const { code, token: link } = await mails.last(email, 'registration');
    return { email, password, ticket: (answer.body as { ticket: string }).ticket, code, link };
  }

  const accountsOf = (email: string): Promise<object[]> =>
    database.sql('select email_verified_at is not null as is_verified, locale from users where email = $1', [email]);

  it('makes no account until the code is typed, and then one that is proven and signed in', async () => {
    const { email, password, ticket, code } = await begun();
    expect(await accountsOf(email)).toEqual([]);
    expectProblem(await service.client.login({ email, password }), 'invalid_credentials');
    const pair = pairOf(await complete({ ticket, code }, otherInstance));
    expect(claimsOf(pair.access_token)).toMatchObject({ amr: ['pwd'], acr: 'aal1' });
    expect((await service.client.me(pair.access_token)).body).toMatchObject({ email, email_verified: true, roles: [] });
    expect((await service.client.login({ email, password })).status).toBe(200);
    expectProblem(await complete({ ticket, code }), 'ticket_invalid');
  });

  it('by the link takes a password of its own, and the one that was registered is none', async () => {
    const { email, password, link } = await begun();
    const chosen = newPassword();
    expectProblem(await complete({ token: link }), 'validation_failed', [
      { field: 'password', message: 'must be a string' },
    ]);
    expectProblem(await complete({ token: link, password: 'short' }), 'validation_failed', [
      { field: 'password', message: 'must be at least 8 characters long' },
    ]);
    pairOf(await complete({ token: link, password: chosen }));
    expectProblem(await service.client.login({ email, password }), 'invalid_credentials');
    expect((await service.client.login({ email, password: chosen })).status).toBe(200);
  });

  it('by an attacker makes no account with the password of the attacker, whatever the victim does with the mail', async () => {
    const attacker = await begun();
    expectProblem(await complete({ ticket: attacker.ticket, code: otherThan(attacker.code) }), 'code_invalid');
    const victim = await begun(attacker.email);
    pairOf(await complete({ token: attacker.link, password: victim.password }));
    expectProblem(
      await service.client.login({ email: attacker.email, password: attacker.password }),
      'invalid_credentials',
    );
    expect((await service.client.login({ email: attacker.email, password: victim.password })).status).toBe(200);
    expectProblem(await complete({ ticket: attacker.ticket, code: attacker.code }), 'ticket_invalid');
  });

  it('of one address ten times makes one account, and tells the others that it is taken', async () => {
    const email = newEmail();
    const pending = [];
    for (let count = 0; count < 10; count += 1) {
      pending.push(await begun(email));
    }
    const answers = await Promise.all(
      pending.map(({ ticket, code }, index) => complete({ ticket, code }, index % 2 === 0 ? service : otherInstance)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 409)).toHaveLength(9);
    const winner = pending[statuses.indexOf(200)]!;
    expect((await service.client.login({ email, password: winner.password })).status).toBe(200);
  });

  it('tells nobody whether the address is free, taken, pending or disabled: answer, headers, hash and statements are equal', async () => {
    const taken = await open.client.signUp();
    const disabled = await open.client.signUp();
    await open.app.get(AccountsService).disable(disabled.id);
    const { email: pending } = await begun();
    const statements = recordStatements(proxy);
    const hash = vi.spyOn(service.app.get(PasswordHasherService, { strict: false }), 'hash');
    const seen = new Set<string>();
    for (const email of [newEmail(), taken.email, pending, disabled.email]) {
      const from = statements.length;
      hash.mockClear();
      const { status, body, headers } = await register(email, newPassword());
      expect(hash).toHaveBeenCalledOnce();
      const { ticket, ...rest } = body as { ticket: string };
      const told = Object.entries(headers).filter(([name]) => !['date', 'x-request-id'].includes(name));
      seen.add(JSON.stringify({ status, length: ticket.length, rest, told, statements: statements.slice(from) }));
      expectProblem(await complete({ ticket, code: '00000000' }), 'code_invalid');
    }
    hash.mockRestore();
    expect([...seen]).toHaveLength(1);
    for (const { email } of [taken, disabled]) {
      expect(await mails.to(email)).toMatchObject([{ template: 'address_taken', params: {}, token: '', code: '' }]);
    }
  });

  it('dies with the fifth wrong code, also when they come at once, and then by its link as well', async () => {
    const { ticket, code, link } = await begun();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        complete({ ticket, code: otherThan(code) }, index % 2 === 0 ? service : otherInstance),
      ),
    );
    const codes = answers.map(({ body }) => (body as { code: string }).code);
    expect(codes.filter((each) => each === 'code_invalid')).toHaveLength(5);
    expectProblem(await complete({ ticket, code }), 'ticket_invalid');
    expectProblem(await complete({ token: link, password: newPassword() }), 'ticket_invalid');
  });

  it('is completed once by 50 presentations of the code and the link', async () => {
    const { email, ticket, code, link } = await begun();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        complete(
          index % 2 === 0 ? { ticket, code } : { token: link, password: newPassword() },
          index % 4 < 2 ? service : otherInstance,
        ),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await accountsOf(email)).toHaveLength(1);
  });

  it.each([{ cut: 'after' as const }, { cut: 'before' as const }])(
    'is completed once although the commits were cut right $cut them',
    async ({ cut }) => {
      proxy.cutNext(COMMIT, cut, 2);
      const { email, ticket, code } = await begun();
      proxy.cutNext(COMMIT, cut, 2);
      const pair = pairOf(await complete({ ticket, code }));
      expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
      expect(await accountsOf(email)).toHaveLength(1);
      expect(await mails.templatesTo(email)).toEqual(['registration']);
    },
  );

  it('is over after a day, and refuses what is not its own', async () => {
    const { email, ticket, code, link } = await begun();
    await database.sql(`update tickets set expires_at = expires_at - interval '86401 s' where email = $1`, [email]);
    expectProblem(await complete({ ticket, code }), 'ticket_invalid');
    for (const wrong of [ticket, `rl1.${ticket.slice(4)}`, '', link.slice(0, -1)]) {
      expectProblem(await complete({ token: wrong, password: newPassword() }), 'ticket_invalid');
    }
    expect(await accountsOf(email)).toEqual([]);
  });

  it('remembers the language of the browser', async () => {
    const email = newEmail();
    const answer = await register(email, newPassword(), { 'accept-language': 'ko-KR,ko;q=0.9,en;q=0.5' });
    const { code, locale } = await mails.last(email, 'registration');
    expect(locale).toBe('ko');
    pairOf(await complete({ ticket: (answer.body as { ticket: string }).ticket, code }));
    expect(await accountsOf(email)).toEqual([{ is_verified: true, locale: 'ko' }]);
  });

  it('is what OpenAPI describes, in place of a registration that answers with the account', async () => {
    const { paths } = (await service.client.get('/openapi.json')).body as {
      paths: Record<string, { post?: { responses: object } }>;
    };
    const statusesOf = (path: string): string[] =>
      Object.keys(paths[path]?.post?.responses ?? {}).filter((status) => status.startsWith('2'));
    expect(['/auth/register', '/auth/register/complete'].map(statusesOf)).toEqual([['202'], ['200']]);
  });

  it('is refused for what no account may have, and mails nothing', async () => {
    expectProblem(await register('ada', 'short'), 'validation_failed', [
      { field: 'email', message: 'must be an e-mail address' },
      { field: 'password', message: 'must be at least 8 characters long' },
    ]);
  });
});
