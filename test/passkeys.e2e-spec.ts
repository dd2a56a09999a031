import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { ageSession } from './support/move-clock.js';
import {
  type Begun,
  beginPasskey,
  beginRegistration,
  bearerOf,
  enrolPasskey,
  PASSKEY_ORIGIN,
  PASSKEYS_ON,
  registerPasskey,
  send,
  signInByPasskey,
} from './support/passkeys.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import {
  type CeremonyOverrides,
  type RequestOptions,
  SoftwareAuthenticator,
} from './support/software-authenticator.js';
import { COMMIT } from './support/statements.js';
import { type Account, claimsOf, pairOf, sessionIdOf, type TokenPair } from './support/test-client.js';
import { startService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const TICKET = /^wa1\.[\w-]{66}$/;
const CHALLENGE = /^[\w-]{43}$/;

interface Ticketed {
  readonly ticket: string;
}

interface Owner extends Account {
  readonly pair: TokenPair;
  readonly authenticator: SoftwareAuthenticator;
  readonly recoveryCodes: readonly string[];
}

describe('a passkey', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, PASSKEYS_ON);
  const otherInstance = useInstance(database, PASSKEYS_ON);
  const withoutPasskeys = useInstance(database, { SECOND_FACTORS: 'on' });
  const off = useInstance(database);

  const newAuthenticator = (how: CeremonyOverrides & { readonly algorithm?: number } = {}): SoftwareAuthenticator =>
    new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN, ...how });

  async function owner(authenticator = newAuthenticator()): Promise<Owner> {
    const account = await service.client.signUpAndIn();
    return { ...account, ...(await enrolPasskey(service.client, account.pair, authenticator)) };
  }

  const signIn = (body: object, at = service): Promise<Response> => at.client.post('/auth/login/passkey', body);

  const storedCount = async (authenticator: SoftwareAuthenticator): Promise<string> => {
    const [row] = await database.sql<{ sign_count: string }>('select sign_count from passkeys where id = $1', [
      Buffer.from(authenticator.id, 'base64url'),
    ]);
    return row!.sign_count;
  };

  it('is registered from a session, which it raises, and every other session ends', async () => {
    const account = await service.client.signUpAndIn();
    const other = await service.client.signIn(account);
    const authenticator = newAuthenticator();
    const begun = await beginRegistration(service.client, account.pair);
    expect(begun).toMatchObject({
      ticket: expect.stringMatching(TICKET),
      options: {
        challenge: expect.stringMatching(CHALLENGE),
        rp: { id: 'example.com', name: 'localhost' },
        user: {
          id: Buffer.from(account.id.replaceAll('-', ''), 'hex').toString('base64url'),
          name: account.email,
          displayName: account.email,
        },
        excludeCredentials: [],
      },
    });
    const registered = await service.client.post(
      '/auth/passkeys',
      { ticket: begun.ticket, credential: authenticator.create(begun.options), name: 'Phone' },
      bearerOf(account.pair),
    );
    expect([registered.status, registered.body]).toEqual([
      201,
      {
        passkey: {
          id: authenticator.id,
          name: 'Phone',
          created_at: expect.any(String),
          last_used_at: null,
          backed_up: true,
        },
        recovery_codes: expect.any(Array),
      },
    ]);
    expectProblem(await service.client.me(other.access_token), 'access_token_revoked');
    const raised = await service.client.rotate(account.pair.refresh_token);
    expect(claimsOf(raised.access_token)).toMatchObject({ amr: ['pwd', 'pop', 'user', 'mfa'], acr: 'phr' });

    const second = await beginRegistration(service.client, raised);
    expect(second.options).toMatchObject({
      excludeCredentials: [{ type: 'public-key', id: authenticator.id, transports: ['hybrid', 'internal'] }],
    });
    const more = await registerPasskey(service.client, raised, newAuthenticator(), 'Key');
    expect([more.status, Object.keys(more.body as object)]).toEqual([201, ['passkey']]);
  });

  it.each([-7, -8, -257])('of algorithm %i signs in without a password', async (algorithm) => {
    const { id, authenticator } = await owner(newAuthenticator({ algorithm }));
    const begun = await beginPasskey(otherInstance.client);
    expect(begun).toEqual({
      ticket: expect.stringMatching(TICKET),
      options: {
        challenge: expect.stringMatching(CHALLENGE),
        rpId: 'example.com',
        timeout: 300_000,
        allowCredentials: [],
        userVerification: 'required',
      },
    });
    const pair = pairOf(await signIn({ ticket: begun.ticket, credential: authenticator.get(begun.options) }));
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: id, amr: ['pop', 'user', 'mfa'], acr: 'phr' });
    expect((await service.client.me(pair.access_token)).status).toBe(200);
    pairOf(await signInByPasskey(service.client, authenticator));
  });

  it.each<[string, CeremonyOverrides]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['another RP ID', { rpId: 'evil.example' }],
    ['another type', { type: 'webauthn.create' }],
    ['another challenge', { challenge: randomBytes(32).toString('base64url') }],
    ['a frame of another site', { crossOrigin: true }],
    ['no user present', { isUserPresent: false }],
    ['an unverified user', { isUserVerified: false }],
    ['the handle of another user', { userHandle: randomBytes(16).toString('base64url') }],
    ['no handle', { userHandle: null }],
    ['another backup eligibility', { isBackupEligible: false, isBackedUp: false }],
    ['a backup that its eligibility rules out', { isBackupEligible: false }],
    ['a counter that stands still', { signCount: 1 }],
    ['a counter that has gone back to 0', { signCount: 0 }],
    ['an unknown id', { id: randomBytes(32).toString('base64url') }],
    ['an empty id', { id: '' }],
  ])('is refused with %s, once for its challenge', async (_what, overrides) => {
    const { authenticator } = await owner();
    const { ticket, options } = await beginPasskey(service.client);
    expectProblem(await signIn({ ticket, credential: authenticator.get(options, overrides) }), 'second_factor_invalid');
    expectProblem(await signIn({ ticket, credential: authenticator.get(options) }), 'ticket_invalid');
    pairOf(await signInByPasskey(service.client, authenticator));
  });

  it.each<[string, CeremonyOverrides]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['another RP ID', { rpId: 'evil.example' }],
    ['another type', { type: 'webauthn.get' }],
    ['a frame of another site', { crossOrigin: true }],
    ['no user present', { isUserPresent: false }],
    ['an id that is too long', { id: randomBytes(1024).toString('base64url') }],
  ])('is not registered with %s', async (_what, overrides) => {
    const account = await service.client.signUpAndIn();
    const authenticator = newAuthenticator();
    const { ticket, options } = await beginRegistration(service.client, account.pair);
    const register = (credential: object): Promise<Response> =>
      service.client.post('/auth/passkeys', { ticket, credential, name: 'Phone' }, bearerOf(account.pair));
    expectProblem(await register(authenticator.create(options, overrides)), 'second_factor_invalid');
    expectProblem(await register(authenticator.create(options)), 'ticket_invalid');
  });

  it('that its user verifies by no PIN is no passkey to sign in with, and raises a session to aal2 only', async () => {
    const { pair, authenticator } = await owner(newAuthenticator({ isUserVerified: false }));
    const raised = await service.client.rotate(pair.refresh_token);
    expect(claimsOf(raised.access_token)).toMatchObject({ amr: ['pwd', 'pop', 'mfa'], acr: 'aal2' });
    expectProblem(await signInByPasskey(service.client, authenticator), 'second_factor_invalid');
  });

  it('that does not count signs in as often as its user likes, and never again once it has counted', async () => {
    const { authenticator } = await owner(newAuthenticator({ signCount: 0 }));
    for (let time = 0; time < 3; time += 1) {
      pairOf(await signInByPasskey(service.client, authenticator));
    }
    const { ticket, options } = await beginPasskey(service.client);
    pairOf(await signIn({ ticket, credential: authenticator.get(options, { signCount: 4_294_967_295 }) }));
    expectProblem(await signInByPasskey(service.client, authenticator), 'second_factor_invalid');
    expect(await storedCount(authenticator)).toBe('4294967295');
  });

  it('and its copy with the same counter open one session, and a copy is told to the operator', async () => {
    const { id, authenticator } = await owner();
    const begun = await Promise.all([beginPasskey(service.client), beginPasskey(otherInstance.client)]);
    const answers = await Promise.all(
      begun.map(({ ticket, options }, index) =>
        signIn({ ticket, credential: authenticator.get(options, { signCount: 9 }) }, [service, otherInstance][index]),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 401]);
    expectProblem(
      answers.find(({ status }) => status === 401)!,
      'second_factor_invalid',
    );
    // The instance that was started last writes the log of the process.
    const suspected = off.logs.filter(({ event }) => event === 'passkey_clone_suspected');
    expect(suspected.map((line) => line['user_id'])).toContain(id);
    const { ticket, options } = await beginPasskey(service.client);
    pairOf(await signIn({ ticket, credential: authenticator.get(options, { signCount: 10 }) }));
  });

  it('answers a challenge once, however often and wherever it is presented', async () => {
    const { authenticator } = await owner();
    const { ticket, options } = await beginPasskey(service.client);
    const credential = authenticator.get(options);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => signIn({ ticket, credential }, index % 2 ? service : otherInstance)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const refused of answers.filter(({ status }) => status !== 200)) {
      expectProblem(refused, 'ticket_invalid');
    }
  });

  it('is not accepted with the ticket of another ceremony, user or session', async () => {
    const [ada, eve] = [await owner(), await owner()];
    const sessions = await Promise.all(
      [ada, eve].map(({ authenticator }) => signInByPasskey(service.client, authenticator)),
    );
    const [adaPair, evePair] = sessions.map(pairOf) as [TokenPair, TokenPair];
    const anyone = await beginPasskey(service.client);
    const stepUp = await beginPasskey(service.client, { step_up: true }, adaPair);
    const registration = await beginRegistration(service.client, adaPair);
    const otherSession = pairOf(await signInByPasskey(service.client, ada.authenticator));
    for (const { ticket, options } of [
      stepUp,
      { ...registration, options: { ...registration.options, rpId: 'example.com' } },
    ]) {
      expectProblem(await signIn({ ticket, credential: ada.authenticator.get(options) }), 'ticket_invalid');
    }
    const made = newAuthenticator().create(registration.options);
    for (const [pair, ticket] of [
      [adaPair, anyone.ticket],
      [adaPair, stepUp.ticket],
      [adaPair, registration.ticket.replace('wa1', 'lg1')],
      [evePair, registration.ticket],
      [otherSession, registration.ticket],
    ] as const) {
      const body = { ticket, credential: made, name: 'Phone' };
      expectProblem(await service.client.post('/auth/passkeys', body, bearerOf(pair)), 'ticket_invalid');
    }
    const body = { ticket: registration.ticket, credential: made, name: 'Phone' };
    expect((await service.client.post('/auth/passkeys', body, bearerOf(adaPair))).status).toBe(201);
  });

  it('of one user is never registered for another, nor a second time', async () => {
    const ada = await owner();
    const eve = await service.client.signUpAndIn();
    const thief = newAuthenticator({ id: ada.authenticator.id });
    expectProblem(await registerPasskey(service.client, eve.pair, thief), 'second_factor_invalid');
    const again = pairOf(await signInByPasskey(service.client, ada.authenticator));
    expectProblem(await registerPasskey(service.client, again, ada.authenticator), 'second_factor_invalid');
    expect((await service.client.me(eve.pair.access_token)).status).toBe(200);
    pairOf(await service.client.login({ email: eve.email, password: eve.password }));
  });

  it('signs in no one once its user is disabled or deleted, or it is removed', async () => {
    const accounts = service.app.get(AccountsService);
    const [disabled, deleted, removed] = [await owner(), await owner(), await owner()];
    await accounts.disable(disabled.id);
    await accounts.delete(deleted.id);
    const raised = await service.client.rotate(removed.pair.refresh_token);
    const path = `/auth/passkeys/${removed.authenticator.id}`;
    expect((await send(service.client, 'delete', path, raised)).status).toBe(204);
    for (const { authenticator } of [disabled, deleted, removed]) {
      expectProblem(await signInByPasskey(service.client, authenticator), 'second_factor_invalid');
    }
    expectProblem(await send(service.client, 'delete', path, raised), 'not_found');
    pairOf(await service.client.login({ email: removed.email, password: removed.password }));
    const [left] = await database.sql<{ codes: number }>(
      'select count(*)::integer as codes from recovery_codes where user_id = any($1)',
      [[deleted.id, removed.id]],
    );
    expect(left).toEqual({ codes: 0 });
  });

  it('is renamed and removed by its user only', async () => {
    const [ada, eve] = [await owner(), await owner()];
    const raised = await service.client.rotate(eve.pair.refresh_token);
    for (const id of [ada.authenticator.id, 'x', '%00', 'a'.repeat(90)]) {
      const path = `/auth/passkeys/${id}`;
      expectProblem(await send(service.client, 'patch', path, raised, { name: 'Mine' }), 'not_found');
      expectProblem(await send(service.client, 'delete', path, raised), 'not_found');
    }
    const path = `/auth/passkeys/${eve.authenticator.id}`;
    const renamed = await send(service.client, 'patch', path, raised, { name: '열쇠 🔑' });
    expect([renamed.status, renamed.body]).toEqual([
      200,
      {
        id: eve.authenticator.id,
        name: '열쇠 🔑',
        created_at: expect.any(String),
        last_used_at: null,
        backed_up: true,
      },
    ]);
    for (const name of ['', 'x'.repeat(65), 'a\nb', 'a\u0000b', 'a\u2028b', 7, null]) {
      const refused = await send(service.client, 'patch', path, raised, { name });
      expect((refused.body as { code: string }).code).toBe('validation_failed');
    }
    expect((await send(service.client, 'patch', path, raised, { name: '🔑'.repeat(64) })).status).toBe(200);
  });

  it('is added, and removed, only after a recent sign-in, by two factors of a user who has two', async () => {
    const account = await service.client.signUp();
    const grant = await service.client.signIn(account);
    await database.sql(
      `update refresh_token_families set created_at = created_at - interval '301 s' where user_id = $1`,
      [account.id],
    );
    const old = await service.client.rotate(grant.refresh_token);
    const begun = await service.client.post('/auth/passkeys/registration', {}, bearerOf(old));
    expect([begun.status, (begun.body as { code: string }).code]).toEqual([401, 'insufficient_user_authentication']);

    const { pair, authenticator } = await owner();
    for (const answer of [
      await service.client.post('/auth/passkeys/registration', {}, bearerOf(pair)),
      await send(service.client, 'delete', `/auth/passkeys/${authenticator.id}`, pair),
    ]) {
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('acr_values="aal2", max_age=300');
    }
  });

  it('proves a second factor once, for the sign-in that it was asked for', async () => {
    const ada = await owner(newAuthenticator({ userHandle: null }));
    const eve = await owner();
    const loginOf = async ({ email, password }: Account): Promise<string> =>
      ((await service.client.login({ email, password })).body as { ticket: string }).ticket;
    const prove = (ticket: string, passkey: object): Promise<Response> =>
      otherInstance.client.post('/auth/login/second-factor', { ticket, passkey });
    const [login, otherLogin] = [await loginOf(ada), await loginOf(ada)];
    const begun = await beginPasskey(service.client, { ticket: login });
    const passkey = {
      ticket: begun.ticket,
      credential: ada.authenticator.get(begun.options, { isUserVerified: false }),
    };
    const anyone = await beginPasskey(service.client);
    const ofAnyone = { ticket: anyone.ticket, credential: ada.authenticator.get(anyone.options) };
    for (const [ticket, proof] of [
      [otherLogin, passkey],
      [await loginOf(eve), passkey],
      [login, ofAnyone],
    ] as const) {
      expectProblem(await prove(ticket, proof), 'ticket_invalid');
    }
    const pair = pairOf(await prove(login, passkey));
    expect(claimsOf(pair.access_token)).toMatchObject({ sub: ada.id, amr: ['pwd', 'pop', 'mfa'], acr: 'aal2' });
    expectProblem(await prove(otherLogin, passkey), 'ticket_invalid');
    const listed = (await service.client.get('/auth/factors', pair.access_token)).body as { passkeys: object[] };
    expect(listed.passkeys).toEqual([
      {
        id: ada.authenticator.id,
        name: 'Phone',
        created_at: expect.any(String),
        last_used_at: expect.stringMatching(/^\d{4}-.*Z$/),
        backed_up: true,
      },
    ]);

    const stolen = await loginOf(eve);
    const asked = await beginPasskey(service.client, { ticket: stolen });
    const foreign = { ticket: asked.ticket, credential: ada.authenticator.get(asked.options) };
    expectProblem(await prove(stolen, foreign), 'second_factor_invalid');
    const again = await beginPasskey(service.client, { ticket: stolen });
    const right = { ticket: again.ticket, credential: eve.authenticator.get(again.options) };
    expect(claimsOf(pairOf(await prove(stolen, right)).access_token)).toMatchObject({
      amr: ['pwd', 'pop', 'user', 'mfa'],
      acr: 'phr',
    });
  });

  it('is one of twenty at most', async () => {
    const account = await service.client.signUpAndIn();
    const begun = await beginRegistration(service.client, account.pair);
    await database.sql(
      `insert into passkeys select decode(md5(nth::text), 'hex') || $2::bytea, $1, 'example.com', '', -7, 0, '{}', $1, false, false,
         'x', now() from generate_series(1, 20) as nth`,
      [account.id, randomBytes(8)],
    );
    const body = { ticket: begun.ticket, credential: newAuthenticator().create(begun.options), name: 'Phone' };
    expectProblem(await service.client.post('/auth/passkeys', body, bearerOf(account.pair)), 'too_many_passkeys');
    expectProblem(
      await service.client.post('/auth/passkeys/registration', {}, bearerOf(account.pair)),
      'too_many_passkeys',
    );
  });

  it('is asked for with options for a step-up by an access token, and for nothing else without one', async () => {
    const { pair, authenticator } = await owner();
    const without = await service.client.signUpAndIn();
    expect((await beginPasskey(service.client, { step_up: true }, pair)).options).toMatchObject({
      allowCredentials: [{ type: 'public-key', id: authenticator.id, transports: ['hybrid', 'internal'] }],
      userVerification: 'required',
    });
    const ask = (body: object, headers = {}): Promise<Response> =>
      service.client.post('/auth/passkeys/options', body, headers);
    expectProblem(await ask({ step_up: true }), 'access_token_missing');
    expectProblem(await ask({ step_up: true }, bearerOf(without.pair)), 'not_found');
    for (const body of [{ step_up: false }, { step_up: 'true' }, { step_up: true, ticket: 'lg1.x' }, { ticket: 7 }]) {
      expect(((await ask(body)).body as { code: string }).code).toBe('validation_failed');
    }
    for (const ticket of ['', 'lg1.x', (await beginPasskey(service.client)).ticket]) {
      expectProblem(await ask({ ticket }), 'ticket_invalid');
    }
  });

  it('raises the session that its challenge was made for, once, by a verified user', async () => {
    const [ada, eve] = [await owner(), await owner()];
    const openSession = async (): Promise<TokenPair> => {
      const { ticket } = (await service.client.login({ email: ada.email, password: ada.password })).body as Ticketed;
      const begun = await beginPasskey(service.client, { ticket });
      const credential = ada.authenticator.get(begun.options, { isUserVerified: false });
      const passkey = { ticket: begun.ticket, credential };
      return pairOf(await service.client.post('/auth/login/second-factor', { ticket, passkey }));
    };
    const [opened, other] = [await openSession(), await openSession()];
    await ageSession(database, sessionIdOf(opened), 400);
    const pair = await service.client.rotate(opened.refresh_token);
    const { sub, acr, auth_time: provedAt } = claimsOf(pair.access_token);
    expect([sub, acr]).toEqual([ada.id, 'aal2']);
    expectStepUpDemand(await service.client.post('/auth/passkeys/registration', {}, bearerOf(pair)), {
      acr: 'aal2',
      maxAge: 300,
    });
    const stepUp = (passkey: object, { by = pair, at = service } = {}): Promise<Response> =>
      at.client.post('/auth/step-up', { passkey }, bearerOf(by));
    const begin = (by = pair): Promise<Begun<RequestOptions>> => beginPasskey(service.client, { step_up: true }, by);

    for (const [authenticator, overrides] of [
      [ada.authenticator, { isUserVerified: false }],
      [eve.authenticator, {}],
    ] as const) {
      const { ticket, options } = await begin();
      expectProblem(
        await stepUp({ ticket, credential: authenticator.get(options, overrides) }),
        'second_factor_invalid',
      );
      expectProblem(await stepUp({ ticket, credential: ada.authenticator.get(options) }), 'ticket_invalid');
    }
    for (const foreign of [await begin(other), await begin(eve.pair), await beginPasskey(service.client)]) {
      const passkey = { ticket: foreign.ticket, credential: ada.authenticator.get(foreign.options) };
      expectProblem(await stepUp(passkey), 'ticket_invalid');
    }
    expect(claimsOf((await service.client.rotate(pair.refresh_token)).access_token)).toMatchObject({
      acr: 'aal2',
      auth_time: provedAt,
    });

    const { ticket, options } = await begin();
    const passkey = { ticket, credential: ada.authenticator.get(options) };
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => stepUp(passkey, { at: index % 2 ? service : otherInstance })),
    );
    const accepted = answers.filter(({ status }) => status === 200);
    expect(accepted.map(({ body }) => body as object)).toEqual([
      { access_token: expect.any(String), token_type: 'Bearer', expires_in: expect.any(Number) },
    ]);
    for (const refused of answers.filter((answer) => answer !== accepted[0])) {
      expectProblem(refused, 'ticket_invalid');
    }
    const raised = accepted[0]!.body as Pick<TokenPair, 'access_token'>;
    const claims = claimsOf(raised.access_token);
    expect(claims).toMatchObject({
      sub: ada.id,
      sid: sessionIdOf(opened),
      amr: ['pwd', 'pop', 'user', 'mfa'],
      acr: 'phr',
    });
    expect(claims.auth_time).toBeGreaterThanOrEqual((provedAt as number) + 400);
    await beginRegistration(service.client, raised);
    expect(claimsOf((await service.client.rotate(other.refresh_token)).access_token)).toMatchObject({ acr: 'aal2' });
  });

  it('is asked for in the second step of a sign-in while its ticket is good', async () => {
    const { id, email, password, authenticator } = await owner();
    const ticketOf = async (): Promise<string> => {
      const answer = await service.client.login({ email, password });
      expect(answer.status).toBe(403);
      return (answer.body as { ticket: string }).ticket;
    };
    const ticket = await ticketOf();
    for (let time = 0; time < 2; time += 1) {
      expect((await beginPasskey(service.client, { ticket })).options).toMatchObject({
        allowCredentials: [{ type: 'public-key', id: authenticator.id, transports: ['hybrid', 'internal'] }],
        userVerification: 'preferred',
      });
    }
    for (const end of [
      `expires_at = now()`,
      `consumed_at = now(), expires_at = now() + interval '1 min'`,
      `consumed_at = null, attempts = 5`,
      `attempts = 0, credential_version = 0`,
    ]) {
      await database.sql(`update tickets set ${end} where purpose = 'second_factor' and user_id = $1`, [id]);
      expectProblem(await service.client.post('/auth/passkeys/options', { ticket }), 'ticket_invalid');
    }
  });

  it('answers rubbish in each member with 400 or 401', async () => {
    const { pair, authenticator } = await owner();
    const raised = await service.client.rotate(pair.refresh_token);
    const rubbish = [undefined, null, 7, true, {}, [], '', '=', 'ä', 'W10', 'bnVsbA', 'x'.repeat(4_000)];
    const statuses = new Set<number>();
    for (const value of rubbish) {
      for (const member of [
        'id',
        'rawId',
        'type',
        'response',
        'clientDataJSON',
        'authenticatorData',
        'signature',
        'userHandle',
      ]) {
        const { ticket, options } = await beginPasskey(service.client);
        const made = authenticator.get(options);
        const credential =
          member in made ? { ...made, [member]: value } : { ...made, response: { ...made.response, [member]: value } };
        statuses.add((await signIn({ ticket, credential })).status);
      }
      for (const credential of [value, { response: value }]) {
        statuses.add((await signIn({ ticket: value, credential })).status);
      }
    }
    for (const value of rubbish) {
      const { ticket, options } = await beginRegistration(service.client, raised);
      for (const member of ['id', 'rawId', 'type', 'response', 'clientDataJSON', 'attestationObject']) {
        const made = newAuthenticator().create(options);
        const credential =
          member in made ? { ...made, [member]: value } : { ...made, response: { ...made.response, [member]: value } };
        const body = { ticket, credential, name: 'Phone' };
        statuses.add((await service.client.post('/auth/passkeys', body, bearerOf(raised))).status);
      }
    }
    expect([...statuses].toSorted()).toEqual([400, 401]);
    const { ticket, options } = await beginPasskey(service.client);
    const made = authenticator.get(options);
    const credential = { ...made, response: { ...made.response, signature: 'x'.repeat(65_536) } };
    expectProblem(await signIn({ ticket, credential }), 'payload_too_large');
    expect([...service.logs, ...off.logs].filter(({ level }) => level === 'error')).toEqual([]);
  });

  it.each([{ cut: 'after' as const }, { cut: 'before' as const }])(
    'is registered once, signs in once and steps up, although the commit was cut right $cut it',
    async ({ cut }) => {
      const account = await service.client.signUpAndIn();
      const authenticator = newAuthenticator();
      const registration = await beginRegistration(service.client, account.pair);
      proxy.cutNext(COMMIT, cut, 2);
      const registered = await service.client.post(
        '/auth/passkeys',
        { ticket: registration.ticket, credential: authenticator.create(registration.options), name: 'Phone' },
        bearerOf(account.pair),
      );
      expect([registered.status, (registered.body as { recovery_codes: [] }).recovery_codes.length]).toEqual([201, 10]);
      const begun = await beginPasskey(service.client);
      proxy.cutNext(COMMIT, cut, 2);
      const pair = pairOf(await signIn({ ticket: begun.ticket, credential: authenticator.get(begun.options) }));
      expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
      const stepUp = await beginPasskey(service.client, { step_up: true }, pair);
      const passkey = { ticket: stepUp.ticket, credential: authenticator.get(stepUp.options) };
      proxy.cutNext(COMMIT, cut, 2);
      expect((await service.client.post('/auth/step-up', { passkey }, bearerOf(pair))).status).toBe(200);
      const live = 'select 1 from refresh_token_families where user_id = $1 and revoked_at is null';
      expect(await database.sql(live, [account.id])).toHaveLength(2);
      pairOf(await signInByPasskey(service.client, authenticator));
    },
  );

  it('has no route where passkeys or second factors are off', async () => {
    for (const { client } of [withoutPasskeys, off]) {
      const { pair } = await client.signUpAndIn();
      for (const path of [
        '/auth/passkeys/options',
        '/auth/login/passkey',
        '/auth/passkeys/registration',
        '/auth/passkeys',
      ]) {
        expectProblem(await client.post(path, {}, bearerOf(pair)), 'not_found');
      }
      expectProblem(await client.get('/.well-known/webauthn'), 'not_found');
    }
  });
});

describe('passkeys of several domains', () => {
  const database = useDatabase();
  const before = useInstance(database, PASSKEYS_ON);
  const origins =
    'https://example.org,https://example.com,android:apk-key-hash:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

  it('are told to browsers when an origin is outside of the domain, and no others', async () => {
    expectProblem(await before.client.get('/.well-known/webauthn'), 'not_found');
    const related = await startService(database, { ...PASSKEYS_ON, WEBAUTHN_ORIGINS: origins });
    const { status, body, headers } = await related.client.get('/.well-known/webauthn');
    expect([status, body, headers['cache-control']]).toEqual([
      200,
      { origins: ['https://example.org', 'https://example.com'] },
      'public, max-age=300',
    ]);
    await related.stop();
  });

  it('are counted at the start when they were made for another one, and sign in no more', async () => {
    const account = await before.client.signUpAndIn();
    const { authenticator } = await enrolPasskey(before.client, account.pair);
    const moved = await startService(database, {
      ...PASSKEYS_ON,
      WEBAUTHN_RP_ID: 'example.org',
      WEBAUTHN_ORIGINS: PASSKEY_ORIGIN,
    });
    expect(moved.logs).toContainEqual(
      expect.objectContaining({ event: 'passkeys_orphaned', level: 'warn', count: 1, rp_id: 'example.org' }),
    );
    expectProblem(await signInByPasskey(moved.client, authenticator), 'second_factor_invalid');
    const login = await moved.client.login({ email: account.email, password: account.password });
    const { ticket } = login.body as { ticket: string };
    expectProblem(await moved.client.post('/auth/passkeys/options', { ticket }), 'not_found');
    await moved.stop();
  });
});

describe('the limits of passkeys', () => {
  const { service } = useService({ ...PASSKEYS_ON, RATE_LIMITS: 'on' });

  it('are 60 options a minute per network', async () => {
    const [begun] = await Promise.all([
      beginPasskey(service.client),
      ...Array.from({ length: 59 }, () => beginPasskey(service.client)),
    ]);
    expectProblem(await service.client.post('/auth/passkeys/options', {}), 'too_many_attempts');
    const credential = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).get(begun.options);
    expectProblem(
      await service.client.post('/auth/login/passkey', { ticket: begun.ticket, credential }),
      'second_factor_invalid',
    );
  });
});
