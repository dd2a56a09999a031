import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import {
  type AuthenticatorApp,
  beginSignIn,
  enrolTotp,
  type EnrolledTotp,
  FACTORS_ON,
  proveSecondFactor,
} from './support/factors.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem } from './support/problem.js';
import { COMMIT } from './support/statements.js';
import { type Account, claimsOf, codeOf, pairOf } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const PRESENTATIONS = 50;

describe('a second factor at a sign-in', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { ...FACTORS_ON, ...MAIL_ON });
  const second = useInstance(database, { ...FACTORS_ON, ...MAIL_ON });
  const third = useInstance(database, { ...FACTORS_ON, ...MAIL_ON });
  const mails = new OutgoingMails(database, service);

  type Enrolled = Account & { readonly totp: EnrolledTotp };

  async function enrolled(): Promise<Enrolled> {
    const account = await service.client.signUpAndIn();
    return { ...account, totp: await enrolTotp(service.client, database, account) };
  }

  const ticketFor = (account: Account): Promise<string> => beginSignIn(service.client, account);

  /** A second step with a ticket of its own. */
  async function prove(account: Account, proof: object, at: TestService = service): Promise<Response> {
    return proveSecondFactor(at.client, await beginSignIn(at.client, account), proof);
  }

  async function sessionsOf({ id }: Pick<Account, 'id'>): Promise<number> {
    const [row] = await database.sql<{ count: number }>(
      'select count(*)::int as count from refresh_token_families where user_id = $1',
      [id],
    );
    return row!.count;
  }

  /** Shows one proof with many tickets at the same time, on all instances. */
  async function presentTogether(account: Account, proof: object): Promise<Response[]> {
    const tickets: string[] = [];
    for (let count = 0; count < PRESENTATIONS; count += 1) {
      tickets.push(await ticketFor(account));
    }
    const instances = [service, second, third];
    return Promise.all(tickets.map((ticket, index) => proveSecondFactor(instances[index % 3]!.client, ticket, proof)));
  }

  /** Shows the code of some steps later, and again if a step ended meanwhile. */
  async function presentLater(account: Enrolled, app: AuthenticatorApp, stepsLater: number): Promise<Response> {
    for (;;) {
      await database.sql('update totp_factors set last_step = 0 where user_id = $1', [account.id]);
      const [ticket, before] = [await ticketFor(account), await app.step()];
      const answer = await proveSecondFactor(service.client, ticket, { totp: await app.code(stepsLater) });
      if ((await app.step()) === before) {
        return answer;
      }
    }
  }

  it('by a code raises what the session proves', async () => {
    const account = await enrolled();
    const pair = pairOf(await prove(account, { totp: await account.totp.codeNow() }));
    expect(claimsOf(pair.access_token)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
  });

  it('by one code, shown 50 times at once on three instances, opens one session', async () => {
    const account = await enrolled();
    const before = await sessionsOf(account);
    const totp = await account.totp.codeNow();
    const answers = await presentTogether(account, { totp });
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(PRESENTATIONS - 1);
    expect(await sessionsOf(account)).toBe(before + 1);
    expectProblem(await prove(account, { totp }), 'second_factor_invalid');
  });

  it('by one recovery code, shown 50 times at once on three instances, opens one session', async () => {
    const account = await enrolled();
    const before = await sessionsOf(account);
    const proof = { recovery_code: account.totp.recoveryCodes[0] };
    const answers = await presentTogether(account, proof);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(PRESENTATIONS - 1);
    expect(await sessionsOf(account)).toBe(before + 1);
    expectProblem(await prove(account, proof), 'second_factor_invalid');
  });

  it('takes no code that has confirmed the app, and the next one', async () => {
    const account = await service.client.signUpAndIn();
    const totp = await enrolTotp(service.client, database, account);
    expectProblem(await prove(account, { totp: totp.confirmedBy }), 'second_factor_invalid');
    const [{ step } = { step: 0 }] = await database.sql<{ step: number }>(
      'select last_step::int as step from totp_factors where user_id = $1',
      [account.id],
    );
    expectProblem(await prove(account, { totp: totp.app.codeOfStep(step) }), 'second_factor_invalid');
    expect((await prove(account, { totp: totp.app.codeOfStep(step + 1) })).status).toBe(200);
  });

  it('takes the codes of the step before and after, and none further off', async () => {
    const account = await enrolled();
    for (const stepsLater of [-1, 0, 1]) {
      expect((await presentLater(account, account.totp.app, stepsLater)).status).toBe(200);
    }
    for (const stepsLater of [-120, -2, 2, 120]) {
      expectProblem(await presentLater(account, account.totp.app, stepsLater), 'second_factor_invalid');
    }
  });

  it('takes a recovery code as people type it, once, and tells the user', async () => {
    const account = await enrolled();
    const [first = '', next = ''] = account.totp.recoveryCodes;
    const typed = first.toLowerCase().replaceAll('-', ' ');
    const pair = pairOf(await prove(account, { recovery_code: typed }));
    expect(claimsOf(pair.access_token)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    expect((await mails.last(account.email, 'recovery_code_used')).params).toMatchObject({ left: 9 });
    expect((await service.client.get('/auth/factors', pair.access_token)).body).toMatchObject({
      recovery_codes_left: 9,
    });
    expectProblem(await prove(account, { recovery_code: first }), 'second_factor_invalid');
    expect((await prove(account, { recovery_code: next })).status).toBe(200);
  });

  it('takes nothing of another user, nor one kind of code for another', async () => {
    const [account, other] = [await enrolled(), await enrolled()];
    const [code = ''] = account.totp.recoveryCodes;
    for (const proof of [
      { totp: await other.totp.codeNow() },
      { recovery_code: other.totp.recoveryCodes[0] },
      { totp: code },
      { recovery_code: await account.totp.codeNow() },
      { totp: '' },
      { recovery_code: '' },
      { recovery_code: '\u0000'.repeat(16) },
    ]) {
      const answer = await prove(account, proof);
      expect([answer.status, codeOf(answer)]).toEqual([401, 'second_factor_invalid']);
    }
    expect((await prove(account, { recovery_code: code })).status).toBe(200);
  });

  it('that cannot be decrypted is an alarm, and does not let the password alone in', async () => {
    const account = await enrolled();
    const totp = await account.totp.codeNow();
    await database.sql('update totp_factors set encryption_key_id = (encryption_key_id + 1) % 256 where user_id = $1', [
      account.id,
    ]);
    expectUnavailable(await prove(account, { totp }), 'temporarily_unavailable');
    // Instances of one process share the logger of the last.
    expect(third.logs.filter(({ event }) => event === 'factor_unreadable')).toMatchObject([
      { level: 'error', user_id: account.id },
    ]);
    expect((await prove(account, { recovery_code: account.totp.recoveryCodes[0] })).status).toBe(200);
  });

  it.each(['before', 'after'] as const)(
    'opens one session although the connection dies twice, %s the commit',
    async (cut) => {
      const account = await enrolled();
      const before = await sessionsOf(account);
      const [code = ''] = account.totp.recoveryCodes;
      for (const proof of [{ totp: await account.totp.codeNow() }, { recovery_code: code }]) {
        const ticket = await ticketFor(account);
        proxy.cutNext(COMMIT, cut, 2);
        expect((await proveSecondFactor(service.client, ticket, proof)).status).toBe(200);
        expectProblem(await prove(account, proof), 'second_factor_invalid');
      }
      expect(await sessionsOf(account)).toBe(before + 2);
    },
  );
});
