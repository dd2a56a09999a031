import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { holdLock } from './support/held-lock.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails, otherThan } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { recordStatements } from './support/statement-log.js';
import { COMMIT } from './support/statements.js';
import { type Account, newEmail, newPassword, pairOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

type SignedIn = Account & { readonly pair: TokenPair };

const USER_ROW = 'select 1 from users where id = $1 for update';

describe('the address of an account', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, MAIL_ON);
  const otherInstance = useInstance(database, MAIL_ON);
  const mails = new OutgoingMails(database, service);

  const authorization = (pair: TokenPair | undefined): Record<string, string> =>
    pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` };

  const login = (
    { email, password }: Pick<Account, 'email' | 'password'>,
    at: TestService = service,
  ): Promise<Response> => at.client.login({ email, password });

  const ask = (pair: TokenPair, newAddress: string, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/email', { new_email: newAddress }, authorization(pair));

  const confirm = (body: object, pair?: TokenPair, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/email/confirm', body, authorization(pair));

  const undo = (token: string, at: TestService = service): Promise<Response> =>
    at.client.post('/auth/email/undo', { token });

  /** A change that has been asked for: what the client and both mailboxes got. */
  async function asked(
    account: SignedIn,
    newAddress = newEmail(),
  ): Promise<{ newAddress: string; ticket: string; code: string; link: string; undoLink: string }> {
    const answer = await ask(account.pair, newAddress);
    expect(answer.status).toBe(202);
    const { ticket } = answer.body as { ticket: string };
    const { code, token: link } = await mails.last(newAddress, 'email_change');
    const { token: undoLink } = await mails.last(account.email, 'email_change_notice');
    return { newAddress, ticket, code, link, undoLink };
  }

  async function addressOf({ id }: Pick<Account, 'id'>): Promise<object | undefined> {
    const [row] = await database.sql(
      'select email, email_verified_at is not null as is_verified, password_hash is not null as has_password from users where id = $1',
      [id],
    );
    return row;
  }

  describe('changes', () => {
    it('by the ticket of the client that asked and the code in the new mailbox', async () => {
      const account = await service.client.signUpAndIn();
      const other = await otherInstance.client.signIn(account);
      const newAddress = newEmail();
      const answer = await ask(account.pair, newAddress.toUpperCase());
      expect([answer.status, answer.body]).toEqual([
        202,
        { ticket: expect.stringMatching(/^ec1\.[\w-]{66}$/), expires_in: 3_600 },
      ]);
      expect(await addressOf(account)).toMatchObject({ email: account.email, is_verified: false });
      const { code } = await mails.last(newAddress, 'email_change');
      expect((await mails.last(account.email, 'email_change_notice')).params).toEqual({ newEmail: newAddress });
      const { ticket } = answer.body as { ticket: string };
      const done = await confirm({ ticket, code }, undefined, otherInstance);
      expect([done.status, done.text]).toEqual([204, '']);
      expect(await addressOf(account)).toEqual({ email: newAddress, is_verified: true, has_password: true });
      // The session that asked goes on, every other one has ended.
      expect((await otherInstance.client.me(account.pair.access_token)).body).toMatchObject({ email: newAddress });
      expect((await service.client.refresh(account.pair.refresh_token)).status).toBe(200);
      expectProblem(await otherInstance.client.me(other.access_token), 'access_token_revoked');
      expectProblem(await service.client.refresh(other.refresh_token), 'session_revoked');
      for (const address of [account.email, newAddress]) {
        expect((await mails.last(address, 'email_changed')).params).toEqual({
          oldEmail: account.email,
          newEmail: newAddress,
        });
      }
      expectProblem(await login(account), 'invalid_credentials');
      expect((await login({ ...account, email: newAddress })).status).toBe(200);
    });

    it('by the link in the new mailbox and a session of the account, and not by the link alone', async () => {
      const account = await service.client.signUpAndIn();
      const stranger = await service.client.signUpAndIn();
      const { link, newAddress } = await asked(account);
      expectProblem(await confirm({ token: link }), 'access_token_missing');
      expectProblem(await confirm({ token: link }, stranger.pair), 'ticket_invalid');
      const ended = await service.client.signIn(account);
      await service.client.logout({ refreshToken: ended.refresh_token });
      expectProblem(await confirm({ token: link }, ended), 'access_token_revoked');
      expect(await addressOf(account)).toMatchObject({ email: account.email });
      expect((await confirm({ token: link }, account.pair)).status).toBe(204);
      expect(await addressOf(account)).toMatchObject({ email: newAddress });
    });

    it('never by a sign-in of more than 300 s ago', async () => {
      const account = await service.client.signUpAndIn();
      await database.sql(`update refresh_token_families set auth_time = now() - interval '301 s' where id = $1`, [
        sessionIdOf(account.pair),
      ]);
      const pair = await service.client.rotate(account.pair.refresh_token);
      expectProblem(await ask(pair, newEmail()), 'insufficient_user_authentication');
      expect(await mails.to(account.email)).toEqual([]);
      expectProblem(await service.client.post('/auth/email', { new_email: newEmail() }), 'access_token_missing');
    });

    it('not into one that is none, nor into itself', async () => {
      const account = await service.client.signUpAndIn();
      for (const address of ['ada', `${account.email}\r\nBcc: eve@example.com`, 'a@b.example, c@d.example']) {
        expectProblem(await ask(account.pair, address), 'validation_failed', [
          { field: 'new_email', message: 'must be an e-mail address' },
        ]);
      }
      expectProblem(await ask(account.pair, account.email.toUpperCase()), 'validation_failed', [
        { field: 'new_email', message: 'must not be the address of the account' },
      ]);
      expect(await mails.to(account.email)).toEqual([]);
    });

    it('not with a body that has neither proof or both', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, link } = await asked(account);
      const missing = (field: string): { field: string; message: string } => ({ field, message: 'must be a string' });
      for (const [body, errors] of [
        [{}, [missing('ticket'), missing('code')]],
        [{ ticket }, [missing('code')]],
        [{ code }, [missing('ticket')]],
        [{ token: null }, [missing('token')]],
        [{ ticket, code: 12_345_678 }, [missing('code')]],
        [{ ticket, code, token: link }, [{ field: 'token', message: 'must be sent without ticket and code' }]],
      ] as const) {
        expectProblem(await confirm(body, account.pair), 'validation_failed', errors);
      }
    });

    it('at most once, by 50 presentations of both proofs at the same time', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, link, newAddress } = await asked(account);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          confirm(
            index % 2 === 0 ? { ticket, code } : { token: link },
            account.pair,
            index % 4 < 2 ? service : otherInstance,
          ),
        ),
      );
      expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
      expect(answers.every(({ status }) => [204, 401, 503].includes(status))).toBe(true);
      const [user] = await database.sql('select credential_version from users where id = $1', [account.id]);
      expect(user).toEqual({ credential_version: 2 });
      expect(await mails.templatesTo(newAddress)).toEqual(['email_change', 'email_changed']);
    });

    it('not after five wrong codes, however many come at once, nor by the link then', async () => {
      for (const isParallel of [false, true]) {
        const account = await service.client.signUpAndIn();
        const { ticket, code, link } = await asked(account);
        const guess = { ticket, code: otherThan(code) };
        if (isParallel) {
          const answers = await Promise.all(Array.from({ length: 20 }, () => confirm(guess)));
          const codes = answers.map(({ body }) => (body as { code: string }).code);
          expect(codes.filter((each) => each === 'code_invalid')).toHaveLength(5);
        } else {
          for (let count = 0; count < 5; count += 1) {
            expectProblem(await confirm(guess), 'code_invalid');
          }
        }
        expectProblem(await confirm({ ticket, code }), 'ticket_invalid');
        expectProblem(await confirm({ token: link }, account.pair), 'ticket_invalid');
        expect(await addressOf(account)).toMatchObject({ email: account.email });
      }
    });

    it.each([{ cut: 'after' as const }, { cut: 'before' as const }])(
      'once although commits were cut right $cut them',
      async ({ cut }) => {
        const account = await service.client.signUpAndIn();
        const other = await service.client.signIn(account);
        proxy.cutNext(COMMIT, cut, 2);
        const { ticket, code, newAddress } = await asked(account);
        proxy.cutNext(COMMIT, cut, 2);
        expect((await confirm({ ticket, code })).status).toBe(204);
        expect(await addressOf(account)).toMatchObject({ email: newAddress });
        expectProblem(await service.client.me(other.access_token), 'access_token_revoked');
        expect(await mails.templatesTo(account.email)).toEqual(['email_change_notice', 'email_changed']);
        expect(await mails.templatesTo(newAddress)).toEqual(['email_change', 'email_changed']);
      },
    );

    it('not any more after a password change, which kills the pending change', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, link } = await asked(account);
      const changed = await service.client.changePassword(account.pair.access_token, account.password, newPassword());
      expectProblem(await confirm({ ticket, code }), 'ticket_invalid');
      expectProblem(await confirm({ token: link }, pairOf(changed)), 'ticket_invalid');
    });
  });

  describe('that is taken', () => {
    it('is told to its owner and to no one else: answer, headers and statements are those of a free one', async () => {
      const owner = await service.client.signUp();
      const disabled = await service.client.signUp();
      await service.app.get(AccountsService).disable(disabled.id);
      const statements = recordStatements(proxy);
      const seen = new Set<string>();
      const account = await service.client.signUpAndIn();
      for (const address of [newEmail(), owner.email, disabled.email, newEmail()]) {
        const from = statements.length;
        const { status, body, headers } = await ask(account.pair, address);
        const { ticket, ...rest } = body as { ticket: string };
        const told = Object.entries(headers).filter(([name]) => !['date', 'x-request-id'].includes(name));
        seen.add(JSON.stringify({ status, length: ticket.length, rest, told, statements: statements.slice(from) }));
        // And then: a ticket whose code is nowhere.
        const guessed = await confirm({ ticket, code: '00000000' });
        expectProblem(guessed, 'code_invalid');
      }
      expect([...seen]).toHaveLength(1);
      for (const { email } of [owner, disabled]) {
        expect(await mails.to(email)).toEqual([
          { template: 'address_taken', locale: null, params: {}, token: '', code: '' },
        ]);
      }
    });

    it('between the question and the confirmation is refused, and everything stays as it was', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, link, newAddress } = await asked(account);
      await service.client.register({ email: newAddress, password: newPassword() });
      expectProblem(await confirm({ ticket, code }), 'email_taken');
      expectProblem(await confirm({ token: link }, account.pair), 'email_taken');
      expect(await addressOf(account)).toMatchObject({ email: account.email, is_verified: false });
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
      expect(await mails.templatesTo(account.email)).toEqual(['email_change_notice']);
    });

    it('at the same time by two accounts changes one of them', async () => {
      const [ada, bob] = [await service.client.signUpAndIn(), await service.client.signUpAndIn()];
      const address = newEmail();
      const [ofAda, ofBob] = [await asked(ada, address), await asked(bob, address)];
      const answers = await Promise.all([
        confirm({ ticket: ofAda.ticket, code: (await mails.to(address))[0]!.code }),
        confirm({ ticket: ofBob.ticket, code: ofBob.code }, undefined, otherInstance),
      ]);
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    });
  });

  describe('returns', () => {
    it('by the link that the old mailbox got, before the change is confirmed', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, link, undoLink } = await asked(account);
      const done = await undo(undoLink);
      expect([done.status, done.text]).toEqual([204, '']);
      expect(await addressOf(account)).toEqual({ email: account.email, is_verified: true, has_password: false });
      expectProblem(await service.client.me(account.pair.access_token), 'access_token_revoked');
      expectProblem(await confirm({ ticket, code }), 'ticket_invalid');
      expectProblem(await confirm({ token: link }, account.pair), 'access_token_revoked');
    });

    it('after it is confirmed: all sessions end, and the old mailbox sets a new password', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, undoLink, newAddress } = await asked(account);
      expect((await confirm({ ticket, code })).status).toBe(204);
      const intruder = await service.client.signIn({ ...account, email: newAddress });
      expect((await undo(undoLink, otherInstance)).status).toBe(204);
      expect(await addressOf(account)).toEqual({ email: account.email, is_verified: true, has_password: false });
      expectProblem(await otherInstance.client.me(intruder.access_token), 'access_token_revoked');
      for (const pair of [account.pair, intruder]) {
        expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
      }
      for (const email of [account.email, newAddress]) {
        expectProblem(await service.client.login({ email, password: account.password }), 'invalid_credentials');
      }
      expect(await mails.templatesTo(newAddress)).toEqual(['email_change', 'email_changed']);
      const { token } = await mails.last(account.email, 'email_change_undone');
      const password = newPassword();
      const reset = await service.client.post('/auth/password/reset', { token, new_password: password });
      expect(reset.status).toBe(204);
      expect((await service.client.login({ email: account.email, password })).status).toBe(200);
      expectProblem(await undo(undoLink), 'ticket_invalid');
    });

    it('also after the password was changed since, which an intruder would do', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, undoLink } = await asked(account);
      expect((await confirm({ ticket, code })).status).toBe(204);
      const changed = await service.client.changePassword(account.pair.access_token, account.password, newPassword());
      expect((await undo(undoLink)).status).toBe(204);
      expectProblem(await service.client.me(pairOf(changed).access_token), 'access_token_revoked');
      expect(await addressOf(account)).toMatchObject({ email: account.email, has_password: false });
    });

    it('not when another account has it by now; the intruder is out all the same', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, undoLink, newAddress } = await asked(account);
      expect((await confirm({ ticket, code })).status).toBe(204);
      const other = { email: account.email, password: newPassword() };
      await service.client.register(other);
      expect((await undo(undoLink)).status).toBe(204);
      expect(await addressOf(account)).toEqual({ email: newAddress, is_verified: true, has_password: false });
      expectProblem(await service.client.me(account.pair.access_token), 'access_token_revoked');
      expect((await service.client.login(other)).status).toBe(200);
      // The old mailbox sets the password all the same.
      const { token } = await mails.last(account.email, 'email_change_undone');
      const password = newPassword();
      const reset = await service.client.post('/auth/password/reset', { token, new_password: password });
      expect(reset.status).toBe(204);
      expect((await service.client.login({ email: newAddress, password })).status).toBe(200);
    });

    it('not when a registration takes it while the link is being used', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code, undoLink, newAddress } = await asked(account);
      expect((await confirm({ ticket, code })).status).toBe(204);
      const rival = await holdLock(
        database,
        `insert into users (id, email, password_hash) values (gen_random_uuid(), $1, 'none')`,
        [account.email],
      );
      const done = undo(undoLink);
      await rival.untilWaiting(1);
      await rival.release();
      expect((await done).status).toBe(204);
      expect(await addressOf(account)).toEqual({ email: newAddress, is_verified: true, has_password: false });
    });

    it('for an owner whose intruder made a second change and undid that one', async () => {
      const account = await service.client.signUpAndIn();
      const first = await asked(account);
      expect((await confirm({ ticket: first.ticket, code: first.code })).status).toBe(204);
      const second = await ask(account.pair, newEmail());
      expect(second.status).toBe(202);
      const intruderLink = (await mails.last(first.newAddress, 'email_change_notice')).token;
      expect((await undo(intruderLink)).status).toBe(204);
      expect(await addressOf(account)).toMatchObject({ email: first.newAddress });
      expect((await undo(first.undoLink)).status).toBe(204);
      expect(await addressOf(account)).toEqual({ email: account.email, is_verified: true, has_password: false });
      // And the owner's undo leaves the intruder none.
      expectProblem(await undo(intruderLink), 'ticket_invalid');
    });

    it('once by 20 presentations of the link, for 72 hours, and never by another link', async () => {
      const account = await service.client.signUpAndIn();
      const { link, undoLink } = await asked(account);
      expectProblem(await undo(link), 'ticket_invalid');
      expectProblem(await undo(`eu1.${link.slice(4)}`), 'ticket_invalid');
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => undo(undoLink, index % 2 === 0 ? service : otherInstance)),
      );
      expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
      expect(await mails.templatesTo(account.email)).toEqual(['email_change_notice', 'email_change_undone']);
      const late = await service.client.signUpAndIn();
      const { undoLink: expired } = await asked(late);
      await database.sql(`update tickets set expires_at = expires_at - interval '259201 s' where user_id = $1`, [
        late.id,
      ]);
      expectProblem(await undo(expired), 'ticket_invalid');
      expect((await service.client.me(late.pair.access_token)).status).toBe(200);
    });

    it('not for a disabled account, until it is enabled again', async () => {
      const account = await service.client.signUpAndIn();
      const { undoLink } = await asked(account);
      const accounts = service.app.get(AccountsService);
      await accounts.disable(account.id);
      expectProblem(await undo(undoLink), 'ticket_invalid');
      await accounts.enable(account.id);
      expect((await undo(undoLink)).status).toBe(204);
    });

    it.each([{ cut: 'after' as const }, { cut: 'before' as const }])(
      'once although the commit was cut right $cut it',
      async ({ cut }) => {
        const account = await service.client.signUpAndIn();
        const { undoLink } = await asked(account);
        proxy.cutNext(COMMIT, cut, 2);
        expect((await undo(undoLink)).status).toBe(204);
        expectProblem(await service.client.me(account.pair.access_token), 'access_token_revoked');
        expect(await database.sql('select credential_version from users where id = $1', [account.id])).toEqual([
          { credential_version: 2 },
        ]);
        const { token } = await mails.last(account.email, 'email_change_undone');
        const reset = { token, new_password: newPassword() };
        expect((await service.client.post('/auth/password/reset', reset)).status).toBe(204);
      },
    );

    it('before or after a login that was about to commit: its session ends, or it is refused', async () => {
      for (const isLoginFirst of [true, false]) {
        const account = await service.client.signUpAndIn();
        const { undoLink } = await asked(account);
        const lock = await holdLock(database, USER_ROW, [account.id]);
        const first = isLoginFirst ? login(account, otherInstance) : undo(undoLink);
        await lock.untilWaiting(1);
        const second = isLoginFirst ? undo(undoLink) : login(account, otherInstance);
        await lock.untilWaiting(2);
        await lock.release();
        const [signedIn, undone] = isLoginFirst ? [await first, await second] : [await second, await first];
        expect(undone.status).toBe(204);
        if (isLoginFirst) {
          expectProblem(await service.client.me(pairOf(signedIn).access_token), 'access_token_revoked');
        } else {
          expectProblem(signedIn, 'invalid_credentials');
        }
      }
    });
  });

  describe('of an account that was made without a proof is proven', () => {
    const verify = (body: object, pair?: TokenPair): Promise<Response> =>
      service.client.post('/auth/email/verify', body, authorization(pair));

    async function verification(account: SignedIn): Promise<{ ticket: string; code: string; link: string }> {
      const answer = await service.client.post('/auth/email/verification', {}, authorization(account.pair));
      expect([answer.status, answer.body]).toEqual([
        202,
        { ticket: expect.stringMatching(/^ev1\.[\w-]{66}$/), expires_in: 3_600 },
      ]);
      const { code, token: link } = await mails.last(account.email, 'email_verification');
      return { ticket: (answer.body as { ticket: string }).ticket, code, link };
    }

    it('by the code, or by the link with a session of the account; sessions stay', async () => {
      for (const way of ['code', 'link'] as const) {
        const account = await service.client.signUpAndIn();
        const stranger = await service.client.signUpAndIn();
        const { ticket, code, link } = await verification(account);
        expectProblem(await verify({ token: link }), 'access_token_missing');
        expectProblem(await verify({ token: link }, stranger.pair), 'ticket_invalid');
        expectProblem(await verify({ ticket, code: otherThan(code) }), 'code_invalid');
        expect(await addressOf(account)).toMatchObject({ is_verified: false });
        const done = await (way === 'code' ? verify({ ticket, code }) : verify({ token: link }, account.pair));
        expect([done.status, done.text]).toEqual([204, '']);
        expect(await addressOf(account)).toEqual({ email: account.email, is_verified: true, has_password: true });
        expect((await service.client.me(account.pair.access_token)).status).toBe(200);
        expectProblem(await verify({ ticket, code }), 'ticket_invalid');
      }
    });

    it('only with an access token', async () => {
      expectProblem(await service.client.post('/auth/email/verification', {}), 'access_token_missing');
    });

    it('never by what was mailed to an address that the account has left', async () => {
      const account = await service.client.signUpAndIn();
      const { ticket, code } = await verification(account);
      const change = await asked(account);
      expect((await confirm({ ticket: change.ticket, code: change.code })).status).toBe(204);
      expectProblem(await verify({ ticket, code }), 'ticket_invalid');
    });
  });
});
