import { describe, expect, it } from 'vitest';
import { ScureBase32Plugin } from 'otplib';
import request, { type Response } from 'supertest';
import { Clock } from '../src/platform/common/clock.js';
import { beginTotp, confirmTotp, enrolTotp, FACTORS_ON } from './support/factors.js';
import { MAIL_ON } from './support/mail-on.js';
import { ageSession } from './support/move-clock.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import { COMMIT } from './support/statements.js';
import { type Account, claimsOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

type SignedIn = Account & { readonly pair: TokenPair };

const base32 = new ScureBase32Plugin();

const RECOVERY_CODE = /^[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}$/;

describe('an authenticator app', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { ...FACTORS_ON, ...MAIL_ON, TOTP_ISSUER: 'Example' });
  const mails = new OutgoingMails(database, service);

  const authorization = ({ access_token }: Pick<TokenPair, 'access_token'>): Record<string, string> => ({
    authorization: `Bearer ${access_token}`,
  });

  const begin = (pair: TokenPair): Promise<Response> => service.client.post('/auth/totp', {}, authorization(pair));
  const confirm = (pair: TokenPair, totp: string): Promise<Response> =>
    confirmTotp(service.client, pair.access_token, totp);
  const appOf = (pair: TokenPair) => beginTotp(service.client, database, pair.access_token);
  const renewCodes = (pair: TokenPair): Promise<Response> =>
    service.client.post('/auth/recovery-codes', {}, authorization(pair));
  const remove = async (pair: TokenPair): Promise<Response> =>
    request(service.url).delete('/auth/totp').set(authorization(pair));

  async function factorsOf(pair: TokenPair): Promise<unknown> {
    return (await service.client.get('/auth/factors', pair.access_token)).body;
  }

  async function storedOf({ id }: Pick<Account, 'id'>): Promise<object | undefined> {
    const [row] = await database.sql(
      `select second_factors, credential_version,
         (select count(*)::int from totp_factors where user_id = users.id and confirmed_at is not null) as apps,
         (select count(*)::int from totp_factors where user_id = users.id and confirmed_at is null) as secrets,
         (select count(*)::int from recovery_codes where user_id = users.id) as codes
       from users where id = $1`,
      [id],
    );
    return row;
  }

  /** A user whose session has just shown a code of their app. */
  async function enrolled(): Promise<SignedIn & { readonly recoveryCodes: readonly string[] }> {
    const account = await service.client.signUpAndIn();
    const { recoveryCodes } = await enrolTotp(service.client, database, account);
    return { ...account, recoveryCodes, pair: await service.client.rotate(account.pair.refresh_token) };
  }

  describe('is added', () => {
    it('by its first code, which raises the session that asked', async () => {
      const account = await service.client.signUpAndIn();
      const begun = await begin(account.pair);
      expect([begun.status, begun.body]).toEqual([
        200,
        { secret: expect.stringMatching(/^[A-Z2-7]{32}$/), otpauth_uri: expect.any(String) },
      ]);
      const { secret, otpauth_uri } = begun.body as { secret: string; otpauth_uri: string };
      expect(otpauth_uri).toBe(
        `otpauth://totp/Example:${encodeURIComponent(account.email)}?secret=${secret}&issuer=Example`,
      );
      expect(await factorsOf(account.pair)).toMatchObject({ totp: null, recovery_codes_left: 0 });
      expect(await storedOf(account)).toMatchObject({ second_factors: [], apps: 0, secrets: 1, codes: 0 });

      const app = await appOf(account.pair);
      const confirmed = await confirm(account.pair, await app.code());
      expect([confirmed.status, confirmed.body]).toEqual([
        200,
        { recovery_codes: Array.from({ length: 10 }, () => expect.stringMatching(RECOVERY_CODE) as unknown) },
      ]);
      expect(await storedOf(account)).toEqual({
        second_factors: ['totp'],
        credential_version: 2,
        apps: 1,
        secrets: 0,
        codes: 10,
      });
      expect(await factorsOf(account.pair)).toMatchObject({
        totp: { created_at: expect.any(String), last_used_at: expect.any(String) },
        passkeys: [],
        recovery_codes_left: 10,
      });
      expect(claimsOf(account.pair.access_token)).toMatchObject({ acr: 'aal1', amr: ['pwd'] });
      const { access_token: raised } = await service.client.rotate(account.pair.refresh_token);
      expect(claimsOf(raised)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
      expect(await mails.templatesTo(account.email)).toContain('factor_added');
      expect((await mails.last(account.email, 'factor_added')).params).toMatchObject({ factor: 'totp' });
    });

    it('by the last secret that was asked for, and by no earlier one', async () => {
      const { pair } = await service.client.signUpAndIn();
      const [former, latest] = [await appOf(pair), await appOf(pair)];
      expect(former.secret).not.toBe(latest.secret);
      expectProblem(await confirm(pair, await former.code()), 'second_factor_invalid');
      expect((await confirm(pair, await latest.code())).status).toBe(200);
    });

    it('and is no factor before: a wrong code adds nothing, and the password alone still signs in', async () => {
      const account = await service.client.signUpAndIn();
      const app = await appOf(account.pair);
      const before = await storedOf(account);
      for (const wrong of [await app.code(3), '', '12345', 'abcdef', '１２３４５６', ' '.repeat(64)]) {
        expectProblem(await confirm(account.pair, wrong), 'second_factor_invalid');
      }
      expect(await storedOf(account)).toEqual(before);
      await service.client.signIn(account);
    });

    it('within 600 seconds of its secret', async () => {
      const account = await service.client.signUpAndIn();
      const app = await appOf(account.pair);
      await database.sql(
        `update totp_factors set created_at = created_at - interval '600 seconds' where user_id = $1`,
        [account.id],
      );
      expectProblem(await confirm(account.pair, await app.code()), 'not_found');
    });

    it('once', async () => {
      const { pair } = await service.client.signUpAndIn();
      const app = await appOf(pair);
      const code = await app.code();
      const answers = await Promise.all(Array.from({ length: 10 }, () => confirm(pair, code)));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 404)]);
      expect(await factorsOf(pair)).toMatchObject({ recovery_codes_left: 10 });
    });

    it('as the first factor, which ends all other sessions of the user at once', async () => {
      const account = await service.client.signUpAndIn();
      const other = await service.client.signIn(account);
      await enrolTotp(service.client, database, account);
      expectProblem(await service.client.me(other.access_token), 'access_token_revoked');
      expectProblem(await service.client.refresh(other.refresh_token), 'session_revoked');
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
      expect(
        await database.sql('select revoke_reason from refresh_token_families where id = $1', [sessionIdOf(other)]),
      ).toEqual([{ revoke_reason: 'factors_changed' }]);
    });

    it('after a sign-in of the last 300 seconds, by which the first code is judged as well', async () => {
      const account = await service.client.signUpAndIn();
      const app = await appOf(account.pair);
      const stale = await service.client.signIn(account);
      await ageSession(database, sessionIdOf(stale), 302);
      const { access_token } = await service.client.rotate(stale.refresh_token);
      const old = { ...stale, access_token };
      expectProblem(await begin(old), 'insufficient_user_authentication');
      expectProblem(await confirm(old, await app.code()), 'insufficient_user_authentication');
      expect((await confirm(account.pair, await app.code())).status).toBe(200);
    });

    it.each(['before', 'after'] as const)(
      'and answers the same when the connection dies twice, %s the commit',
      async (cut) => {
        const account = await service.client.signUpAndIn();
        const app = await appOf(account.pair);
        const code = await app.code();
        proxy.cutNext(COMMIT, cut, 2);
        expect((await confirm(account.pair, code)).status).toBe(200);
        expect(await storedOf(account)).toMatchObject({ second_factors: ['totp'], credential_version: 2, codes: 10 });
        proxy.cutNext(COMMIT, cut, 2);
        const pair = await service.client.rotate(account.pair.refresh_token);
        expect((await renewCodes(pair)).status).toBe(200);
        proxy.cutNext(COMMIT, cut, 2);
        expect((await remove(pair)).status).toBe(204);
        expect(await storedOf(account)).toMatchObject({ second_factors: [], credential_version: 4, codes: 0 });
      },
    );
  });

  describe('of a user who has one', () => {
    it('is replaced by another one, and works until then', async () => {
      const account = await enrolled();
      const [{ id: formerId } = { id: '' }] = await database.sql<{ id: string }>(
        'select id from totp_factors where user_id = $1',
        [account.id],
      );
      const app = await appOf(account.pair);
      expect(await storedOf(account)).toMatchObject({ apps: 1, secrets: 1 });
      const replaced = await confirm(account.pair, await app.code());
      expect([replaced.status, replaced.text]).toEqual([204, '']);
      expect(await storedOf(account)).toMatchObject({ credential_version: 3, apps: 1, secrets: 0, codes: 10 });
      expect(await database.sql('select 1 from totp_factors where id = $1', [formerId])).toEqual([]);
    });

    it('is changed only after a sign-in of the last 300 seconds by two factors', async () => {
      const account = await service.client.signUpAndIn();
      await enrolTotp(service.client, database, account);
      const raised = await service.client.rotate(account.pair.refresh_token);
      await ageSession(database, sessionIdOf(raised), 302);
      const old = await service.client.rotate(raised.refresh_token);
      for (const pair of [account.pair, old]) {
        for (const change of [begin, renewCodes, remove]) {
          expectStepUpDemand(await change(pair), { acr: 'aal2', maxAge: 300 });
        }
      }
      expect(await storedOf(account)).toMatchObject({ credential_version: 2, apps: 1, secrets: 0, codes: 10 });
    });

    it('takes the recovery codes along when it is removed', async () => {
      const account = await enrolled();
      await appOf(account.pair);
      const removed = await remove(account.pair);
      expect([removed.status, removed.text]).toEqual([204, '']);
      expect(await storedOf(account)).toEqual({
        second_factors: [],
        credential_version: 3,
        apps: 0,
        secrets: 0,
        codes: 0,
      });
      expect(await factorsOf(account.pair)).toMatchObject({ totp: null, recovery_codes_left: 0 });
      expect((await mails.last(account.email, 'factor_removed')).params).toMatchObject({ factor: 'totp' });
      expectProblem(await remove(account.pair), 'not_found');
      await service.client.signIn(account);
    });
  });

  describe('has recovery codes', () => {
    it('which new ones replace', async () => {
      const account = await enrolled();
      const renewed = await renewCodes(account.pair);
      expect(renewed.status).toBe(200);
      const { recovery_codes: codes } = renewed.body as { recovery_codes: string[] };
      expect(codes).toHaveLength(10);
      expect(new Set([...codes, ...account.recoveryCodes]).size).toBe(20);
      expect(await storedOf(account)).toMatchObject({ credential_version: 3, codes: 10 });
      expect(await mails.templatesTo(account.email)).toContain('recovery_codes_renewed');
    });

    it('which a user without a factor cannot have', async () => {
      const { pair } = await service.client.signUpAndIn();
      expectProblem(await renewCodes(pair), 'not_found');
    });
  });

  it('has a secret, and codes, that no table and no log holds in clear', async () => {
    const account = await service.client.signUpAndIn();
    const { secret, recoveryCodes } = await enrolTotp(service.client, database, account);
    const [{ dump } = { dump: '' }] = await database.sql<{ dump: string }>(
      `select concat((select json_agg(t) from totp_factors t), (select json_agg(r) from recovery_codes r),
         (select json_agg(u) from users u), (select json_agg(m) from outgoing_mails m)) as dump`,
    );
    const bytes = Buffer.from(base32.decode(secret));
    const written = dump + JSON.stringify(service.logs);
    for (const clear of [
      secret,
      bytes.toString('hex'),
      bytes.toString('base64').slice(0, -2),
      ...recoveryCodes.flatMap((each) => [
        each,
        each.replaceAll('-', ''),
        Buffer.from(base32.decode(each.replaceAll('-', ''))).toString('hex'),
      ]),
    ]) {
      expect(written).not.toContain(clear);
    }
  });

  it('is refused to a disabled and to a deleted user', async () => {
    for (const [change, code] of [
      [`update users set status = 'disabled' where id = $1`, 'account_disabled'],
      ['delete from users where id = $1', 'access_token_revoked'],
    ] as const) {
      const account = await enrolled();
      await database.sql(change, [account.id]);
      for (const request of [begin, renewCodes, remove]) {
        expectProblem(await request(account.pair), code);
      }
      expectProblem(await confirm(account.pair, '123456'), code);
    }
  });

  it('is judged by the time of the database, on an instance whose clock is an hour off', async () => {
    const { pair } = await service.client.signUpAndIn();
    const clock = service.app.get(Clock);
    const right = clock.now.bind(clock);
    clock.now = () => new Date(right().getTime() + 3_600_000);
    try {
      const app = await appOf(pair);
      expectProblem(await confirm(pair, await app.code(120)), 'second_factor_invalid');
      expect((await confirm(pair, await app.code())).status).toBe(200);
    } finally {
      clock.now = right;
    }
  });

  it('whose secret cannot be decrypted answers 503 and an alarm', async () => {
    const account = await service.client.signUpAndIn();
    const app = await appOf(account.pair);
    await database.sql(
      `update totp_factors set secret_encrypted = set_byte(secret_encrypted, 30, get_byte(secret_encrypted, 30) # 1)
       where user_id = $1`,
      [account.id],
    );
    expectUnavailable(await confirm(account.pair, await app.code()), 'temporarily_unavailable');
    expect(service.logs.filter(({ event }) => event === 'factor_unreadable')).toMatchObject([
      { level: 'error', user_id: account.id },
    ]);
  });

  it('needs an access token, and members of the documented shape', async () => {
    const { pair } = await service.client.signUpAndIn();
    for (const path of ['/auth/totp', '/auth/totp/confirm', '/auth/recovery-codes']) {
      expectProblem(await service.client.post(path, { totp: '123456' }), 'access_token_missing');
    }
    expectProblem(await service.client.get('/auth/factors'), 'access_token_missing');
    for (const body of [
      {},
      { totp: 123456 },
      { totp: null },
      { totp: ['123456'] },
      { totp: '1'.repeat(65) },
      { code: '123456' },
    ]) {
      const answer = await service.client.post('/auth/totp/confirm', body, authorization(pair));
      expect([answer.status, (answer.body as { code: string }).code]).toEqual([400, 'validation_failed']);
    }
    expectProblem(await confirm(pair, '123456'), 'not_found');
  });
});

describe('a wrong code for a new authenticator app', () => {
  const database = useDatabase();
  const service = useInstance(database, { ...FACTORS_ON, RATE_LIMITS: 'on' });

  it('counts as a wrong second factor does: from the fifth on, one is judged per delay', async () => {
    const { pair } = await service.client.signUpAndIn();
    const confirm = (totp: string): Promise<Response> => confirmTotp(service.client, pair.access_token, totp);
    for (let waiting = 0; waiting < 6; waiting += 1) {
      // No secret waits for a code, so none is judged.
      expectProblem(await confirm('123456'), 'not_found');
    }
    const app = await beginTotp(service.client, database, pair.access_token);
    for (let wrong = 0; wrong < 5; wrong += 1) {
      expectProblem(await confirm(await app.code(3)), 'second_factor_invalid');
    }
    expectProblem(await confirm(await app.code()), 'too_many_attempts');
    await database.sql('delete from rate_limits');
    expect((await confirm(await app.code())).status).toBe(200);
  });
});

describe('a service without second factors', () => {
  const database = useDatabase();
  const service = useInstance(database);

  it('has no route for them', async () => {
    const { pair } = await service.client.signUpAndIn();
    const headers = { authorization: `Bearer ${pair.access_token}` };
    for (const path of ['/auth/totp', '/auth/totp/confirm', '/auth/recovery-codes']) {
      expectProblem(await service.client.post(path, {}, headers), 'not_found');
    }
    expectProblem(await service.client.get('/auth/factors', pair.access_token), 'not_found');
  });
});
