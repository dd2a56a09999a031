import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { UsersService } from '../src/users/users.service.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { type Account, claimsOf, newEmail, newPassword, pairOf, type TokenPair } from './support/test-client.js';
import { useService } from './support/use-service.js';

/**
 * The attacks of Sudhodanan and Paverd, "Pre-hijacked accounts" (USENIX Security 2022, arXiv 2205.10174): an attacker
 * prepares an account for the address of a victim who has none yet, and waits until the victim uses it. Each story ends with
 * the attacker outside.
 */
describe('pre-hijacking, where an address need not be proven at the registration', () => {
  const { database, service } = useService(MAIL_ON);
  const mails = new OutgoingMails(database, service);

  const post = (path: string, body: object, pair?: TokenPair): Promise<Response> =>
    service.client.post(path, body, pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` });

  const login = ({ email, password }: Pick<Account, 'email' | 'password'>): Promise<Response> =>
    service.client.login({ email, password });

  /** The victim finds that there is an account, and makes it theirs by the mailbox. */
  async function recover(victimsAddress: string): Promise<{ readonly password: string; readonly pair: TokenPair }> {
    expect((await post('/auth/password/forgot', { email: victimsAddress })).status).toBe(202);
    const { token } = await mails.last(victimsAddress, 'password_reset');
    const password = newPassword();
    expect((await post('/auth/password/reset', { token, new_password: password })).status).toBe(204);
    return { password, pair: pairOf(await login({ email: victimsAddress, password })) };
  }

  /** Neither a password, nor a session, nor an access token of the attacker works. */
  async function expectOutside(attacker: Account, ...pairs: readonly TokenPair[]): Promise<void> {
    expectProblem(await login(attacker), 'invalid_credentials');
    for (const pair of pairs) {
      expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
      expectProblem(await service.client.refresh(pair.refresh_token), 'session_revoked');
    }
  }

  it('classic-federated merge: the password that the attacker chose is none once the victim has proved the mailbox', async () => {
    const attacker = await service.client.signUp();
    const { pair } = await recover(attacker.email);
    await expectOutside(attacker);
    expect((await service.client.me(pair.access_token)).body).toMatchObject({ id: attacker.id });
  });

  it('unexpired session: none that the attacker kept alive outlives the proof of the mailbox', async () => {
    const attacker = await service.client.signUpAndIn();
    let kept = attacker.pair;
    for (let count = 0; count < 3; count += 1) {
      kept = await service.client.rotate(kept.refresh_token);
    }
    const second = await service.client.signIn(attacker);
    await recover(attacker.email);
    await expectOutside(attacker, kept, second);
  });

  it('trojan identifier: what the attacker has asked for in the account is void once the victim has proved the mailbox', async () => {
    const attacker = await service.client.signUpAndIn();
    const trojan = newEmail();
    const asked = (await post('/auth/email', { new_email: trojan }, attacker.pair)).body as { ticket: string };
    const { code, token: link } = await mails.last(trojan, 'email_change');
    const verification = (await post('/auth/email/verification', {}, attacker.pair)).body as { ticket: string };
    const victim = await recover(attacker.email);
    await expectOutside(attacker, attacker.pair);
    expectProblem(await post('/auth/email/confirm', { ticket: asked.ticket, code }), 'ticket_invalid');
    expectProblem(await post('/auth/email/confirm', { token: link }, attacker.pair), 'access_token_revoked');
    expectProblem(await post('/auth/email/verify', { ticket: verification.ticket, code }), 'ticket_invalid');
    // Nor does the attacker's own mailbox get a link into the account.
    expect((await post('/auth/password/forgot', { email: trojan })).status).toBe(202);
    expect(await mails.templatesTo(trojan)).toEqual(['email_change']);
    expect((await service.client.me(victim.pair.access_token)).body).toMatchObject({ email: attacker.email });
  });

  it("trojan identifier: a victim who clicks what the attacker asked for does not put the address on the attacker's account", async () => {
    const attacker = await service.client.signUpAndIn();
    const victimsAddress = newEmail();
    await post('/auth/email', { new_email: victimsAddress }, attacker.pair);
    const { token } = await mails.last(victimsAddress, 'email_change');
    expectProblem(await post('/auth/email/confirm', { token }), 'access_token_missing');
    const victim = { email: victimsAddress, password: newPassword() };
    expect((await service.client.register(victim)).status).toBe(201);
    const pair = pairOf(await login(victim));
    expectProblem(await post('/auth/email/confirm', { token }, pair), 'ticket_invalid');
    expect((await service.client.me(attacker.pair.access_token)).body).toMatchObject({ email: attacker.email });
  });

  it("trojan identifier: a victim who clicks the proof that the attacker asked for does not prove the attacker's account", async () => {
    const attacker = await service.client.signUpAndIn();
    await post('/auth/email/verification', {}, attacker.pair);
    const { token } = await mails.last(attacker.email, 'email_verification');
    expectProblem(await post('/auth/email/verify', { token }), 'access_token_missing');
    expect(await database.sql('select email_verified_at from users where id = $1', [attacker.id])).toEqual([
      { email_verified_at: null },
    ]);
    await recover(attacker.email);
    expectProblem(await post('/auth/email/verify', { token }, attacker.pair), 'access_token_revoked');
    await expectOutside(attacker, attacker.pair);
  });

  it('unexpired e-mail change: one that the attacker began before the victim came cannot be confirmed after', async () => {
    const attacker = await service.client.signUpAndIn();
    const attackersAddress = newEmail();
    const asked = (await post('/auth/email', { new_email: attackersAddress }, attacker.pair)).body as {
      ticket: string;
    };
    const { code, token } = await mails.last(attackersAddress, 'email_change');
    const victim = await recover(attacker.email);
    expectProblem(await post('/auth/email/confirm', { ticket: asked.ticket, code }), 'ticket_invalid');
    expectProblem(await post('/auth/email/confirm', { token }, victim.pair), 'ticket_invalid');
    await expectOutside(attacker, attacker.pair);
    expect((await login({ email: attacker.email, password: victim.password })).status).toBe(200);
  });

  it('unexpired e-mail change: a victim whose address the attacker has left takes the account by the link of the notice', async () => {
    const attacker = await service.client.signUpAndIn();
    const attackersAddress = newEmail();
    const asked = (await post('/auth/email', { new_email: attackersAddress }, attacker.pair)).body as {
      ticket: string;
    };
    const { code } = await mails.last(attackersAddress, 'email_change');
    expect((await post('/auth/email/confirm', { ticket: asked.ticket, code })).status).toBe(204);
    await post('/auth/email', { new_email: newEmail() }, attacker.pair);
    const { token: attackersUndo } = await mails.last(attackersAddress, 'email_change_notice');
    const { token: undo } = await mails.last(attacker.email, 'email_change_notice');
    expect((await post('/auth/email/undo', { token: undo })).status).toBe(204);
    const victim = await recover(attacker.email);
    await expectOutside({ ...attacker, email: attackersAddress }, attacker.pair);
    await expectOutside(attacker);
    expectProblem(await post('/auth/email/undo', { token: attackersUndo }), 'ticket_invalid');
    expect((await service.client.me(victim.pair.access_token)).body).toMatchObject({ email: attacker.email });
  });

  it('non-verifying identity provider: no address counts as proven by anything but its mailbox, nor stands in a token', async () => {
    const attacker = await service.client.signUpAndIn();
    const isProven = async (): Promise<unknown> =>
      (
        await database.sql('select email_verified_at is not null as is_proven from users where id = $1', [attacker.id])
      )[0];
    await service.client.rotate(attacker.pair.refresh_token);
    pairOf(
      await service.client.changePassword(
        (await service.client.signIn(attacker)).access_token,
        attacker.password,
        attacker.password,
      ),
    );
    expect(await isProven()).toEqual({ is_proven: false });
    const victim = await recover(attacker.email);
    expect(await isProven()).toEqual({ is_proven: true });
    expect(JSON.stringify(claimsOf(victim.pair.access_token))).not.toContain(attacker.email);
  });
});

describe('pre-hijacking, where an account exists only once its mailbox is proven', () => {
  const { database, service } = useService({ ...MAIL_ON, EMAIL_VERIFICATION: 'required', EMAIL_SIGN_IN: 'on' });
  const mails = new OutgoingMails(database, service);

  const post = (path: string, body: object, pair?: TokenPair): Promise<Response> =>
    service.client.post(path, body, pair === undefined ? {} : { authorization: `Bearer ${pair.access_token}` });

  const ticketOf = ({ body }: Response): string => (body as { ticket: string }).ticket;

  /** Registers, and proves the mailbox by the code. */
  async function signUp(): Promise<{ readonly email: string; readonly password: string; readonly pair: TokenPair }> {
    const credentials = { email: newEmail(), password: newPassword() };
    const ticket = ticketOf(await post('/auth/register', credentials));
    const { code } = await mails.last(credentials.email, 'registration');
    return { ...credentials, pair: pairOf(await post('/auth/register/complete', { ticket, code })) };
  }

  it('classic-federated merge: an attacker makes no account for the address, and the victim registers as if no one had', async () => {
    const attackers = { email: newEmail(), password: newPassword() };
    const ticket = ticketOf(await post('/auth/register', attackers));
    expectProblem(await service.client.login(attackers), 'invalid_credentials');
    const victims = { email: attackers.email, password: newPassword() };
    const victimsTicket = ticketOf(await post('/auth/register', victims));
    const { code } = await mails.last(victims.email, 'registration');
    pairOf(await post('/auth/register/complete', { ticket: victimsTicket, code }));
    expectProblem(await service.client.login(attackers), 'invalid_credentials');
    expect((await service.client.login(victims)).status).toBe(200);
    expectProblem(await post('/auth/register/complete', { ticket, code }), 'code_invalid');
  });

  it("unexpired session: there is none, and the victim's click on the attacker's mail opens one with the victim's password", async () => {
    const attackers = { email: newEmail(), password: newPassword() };
    const ticket = ticketOf(await post('/auth/register', attackers));
    const { code, token } = await mails.last(attackers.email, 'registration');
    const password = newPassword();
    pairOf(await post('/auth/register/complete', { token, password }));
    expectProblem(await service.client.login(attackers), 'invalid_credentials');
    expectProblem(await post('/auth/register/complete', { ticket, code }), 'ticket_invalid');
    expect((await service.client.login({ email: attackers.email, password })).status).toBe(200);
  });

  it("trojan identifier, unexpired e-mail change: an attacker's own account never gets the victim's address", async () => {
    const attacker = await signUp();
    const victimsAddress = newEmail();
    const ticket = ticketOf(await post('/auth/email', { new_email: victimsAddress }, attacker.pair));
    const { code, token } = await mails.last(victimsAddress, 'email_change');
    expectProblem(await post('/auth/email/confirm', { token }), 'access_token_missing');
    const victims = { email: victimsAddress, password: newPassword() };
    const victimsTicket = ticketOf(await post('/auth/register', victims));
    const { code: victimsCode } = await mails.last(victimsAddress, 'registration');
    const pair = pairOf(await post('/auth/register/complete', { ticket: victimsTicket, code: victimsCode }));
    // Even with the code of the victim's mailbox.
    expectProblem(await post('/auth/email/confirm', { ticket, code }), 'email_taken');
    expectProblem(await post('/auth/email/confirm', { token }, pair), 'ticket_invalid');
    expect((await service.client.me(pair.access_token)).body).toMatchObject({ email: victimsAddress });
    expect((await service.client.me(attacker.pair.access_token)).body).toMatchObject({ email: attacker.email });
  });

  it('non-verifying identity provider: an account that was never proven belongs to the first who signs in by its mailbox', async () => {
    const attacker = { email: newEmail(), password: newPassword() };
    await service.app.get(UsersService).register(attacker);
    const attackers = pairOf(await service.client.login(attacker));
    const ticket = ticketOf(await post('/auth/email-code', { email: attacker.email }));
    const { code } = await mails.last(attacker.email, 'sign_in_code');
    const victim = pairOf(await post('/auth/login/email-code', { ticket, code }));
    expectProblem(await service.client.me(attackers.access_token), 'access_token_revoked');
    expectProblem(await service.client.login(attacker), 'invalid_credentials');
    expect((await service.client.me(victim.access_token)).body).toMatchObject({ email_verified: true });
  });
});
