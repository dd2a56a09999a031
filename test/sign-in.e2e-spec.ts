import { describe, expect, it } from 'vitest';
import { hash } from '@node-rs/argon2';
import request, { type Response } from 'supertest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { UsersService } from '../src/users/users.service.js';
import { expectProblem } from './support/problem.js';
import { claimsOf, newEmail, newPassword, pairOf, sessionIdOf } from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';

const INVALID_EMAIL = { field: 'email', message: 'must be an e-mail address' };

describe('signing up and in', () => {
  const database = useDatabase();
  const service = useInstance(database, { PASSWORD_HASH_COST: 'full' });
  const otherInstance = useInstance(database);

  /** One password logs in to an account that was registered with another, or not. */
  async function logsIn(registeredPassword: string, presentedPassword: string): Promise<boolean> {
    const email = newEmail();
    expect((await service.client.register({ email, password: registeredPassword })).status).toBe(201);
    const response = await otherInstance.client.login({ email, password: presentedPassword });
    expect([200, 401]).toContain(response.status);
    return response.status === 200;
  }

  async function countAccounts(): Promise<number> {
    const [row] = await database.sql<{ count: number }>('select count(*)::integer as count from users');
    return row!.count;
  }

  describe('registration', () => {
    it('answers with the account and nothing else', async () => {
      const email = newEmail();
      const response = await service.client.register({ email, password: newPassword() });
      expect(response.status).toBe(201);
      expect(response.headers['cache-control']).toBe('no-store');
      expect(response.body).toEqual({
        id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        email,
        email_verified: false,
        roles: [],
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      });
    });

    it('takes the spellings of one address for one account', async () => {
      const [localPart = ''] = newEmail().split('@');
      const registered = await service.client.register({
        email: `${localPart.toUpperCase()}@Example.COM`,
        password: newPassword(),
      });
      expect(registered.status).toBe(201);
      expect(registered.body).toMatchObject({ email: `${localPart}@example.com` });
      for (const email of [`${localPart}@example.com`, `${localPart.toUpperCase()}@EXAMPLE.com`]) {
        expectProblem(await otherInstance.client.register({ email, password: newPassword() }), 'email_taken');
      }

      const inUnicode = await service.client.register({
        email: `${localPart}@bücher.example`,
        password: newPassword(),
      });
      expect(inUnicode.body).toMatchObject({ email: `${localPart}@xn--bcher-kva.example` });
      const asLabels = { email: `${localPart}@xn--bcher-kva.example`, password: newPassword() };
      expectProblem(await service.client.register(asLabels), 'email_taken');
    });

    it.each([
      ['a fullwidth @', 'ada＠example.com'],
      ['a fullwidth letter in the domain', 'ada@exａmple.com'],
      ['the Kelvin sign for a k', 'ada@ex\u212Ample.com'],
      ['a Cyrillic letter in the local part', 'аda@example.com'],
      ['a space in front', ' ada@example.com'],
      ['a space behind', 'ada@example.com '],
      ['a line break', 'ada@example.com\r\nBcc: eve@example.com'],
      ['a NUL', 'ada\u0000@example.com'],
      ['two @', 'ada@example.com@evil.example'],
      ['a zero-width joiner', 'a\u200Dda@example.com'],
      ['a quoted local part', '"ada"@example.com'],
      ['an address literal', 'ada@[127.0.0.1]'],
      ['no domain', 'ada@'],
      ['nothing at all', ''],
      ['255 characters', `${'a'.repeat(64)}@${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.example`],
    ])('refuses an address with %s and stores nothing', async (_kind, email) => {
      const before = await countAccounts();
      expectProblem(await service.client.register({ email, password: newPassword() }), 'validation_failed', [
        INVALID_EMAIL,
      ]);
      expect(await countAccounts()).toBe(before);
    });

    it.each([
      ['one of 7 characters', 'pw-secr', 'must be at least 8 characters long'],
      ['one of 4 characters in 8 UTF-16 units', '😀😀😀😀', 'must be at least 8 characters long'],
      ['one of 129 characters', `pw-secret-${'x'.repeat(119)}`, 'must be at most 128 characters long'],
      ['one of more than 1024 bytes', `pw-secret-${'€'.repeat(400)}`, 'must be at most 1024 bytes long in UTF-8'],
      ['a common one', 'password123', 'must not be a commonly used password'],
      ['a common one in capitals', 'PASSWORD123', 'must not be a commonly used password'],
    ])('refuses a password that is %s', async (_kind, password, message) => {
      const before = await countAccounts();
      expectProblem(await service.client.register({ email: newEmail(), password }), 'validation_failed', [
        { field: 'password', message },
      ]);
      expect(await countAccounts()).toBe(before);
    });

    it('accepts passwords of 8 and of 128 code points', async () => {
      for (const password of ['pw-s🔑cr🔑', `pw-secret-${'🔑'.repeat(118)}`]) {
        expect([8, 128]).toContain(Array.from(password).length);
        expect(await logsIn(password, password)).toBe(true);
      }
    });

    it('names every wrong member at once', async () => {
      expectProblem(await service.client.register({ email: 'ada', password: 'short' }), 'validation_failed', [
        INVALID_EMAIL,
        { field: 'password', message: 'must be at least 8 characters long' },
      ]);
    });

    it('makes one account of 20 registrations of one address that race over two instances', async () => {
      const [localPart = ''] = newEmail().split('@');
      const responses = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (index % 2 === 0 ? service : otherInstance).client.register({
            email: index % 3 === 0 ? `${localPart.toUpperCase()}@example.com` : `${localPart}@example.com`,
            password: newPassword(),
          }),
        ),
      );
      const statuses = responses.map(({ status }) => status).sort();
      expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
      const rows = await database.sql('select id from users where email = $1', [`${localPart}@example.com`]);
      const created = responses.find(({ status }) => status === 201);
      expect(rows).toEqual([{ id: (created!.body as { id: string }).id }]);
    });
  });

  describe.each(['/auth/register', '/auth/login'])('the body of %s', (path) => {
    it.each<[string, unknown, { field: string; message: string }[]]>([
      [
        'nothing',
        {},
        [
          { field: 'email', message: 'must be a string' },
          { field: 'password', message: 'must be a string' },
        ],
      ],
      [
        'an unknown member',
        { email: newEmail(), password: newPassword(), admin: true },
        [{ field: 'admin', message: 'is not a member of this request' }],
      ],
      [
        'roles of its own choice',
        { email: newEmail(), password: newPassword(), roles: ['admin'] },
        [{ field: 'roles', message: 'is not a member of this request' }],
      ],
      [
        'a refresh token to adopt',
        { email: newEmail(), password: newPassword(), refresh_token: 'x' },
        [{ field: 'refresh_token', message: 'is not a member of this request' }],
      ],
      ...[1, true, null, ['ada@example.com'], { $ne: '' }].map(
        (email): [string, unknown, { field: string; message: string }[]] => [
          `${JSON.stringify(email)} for an e-mail`,
          { email, password: newPassword() },
          [{ field: 'email', message: 'must be a string' }],
        ],
      ),
      ...[12345678, null, ['a', 'b'], { length: 20 }].map(
        (password): [string, unknown, { field: string; message: string }[]] => [
          `${JSON.stringify(password)} for a password`,
          { email: newEmail(), password },
          [{ field: 'password', message: 'must be a string' }],
        ],
      ),
      ['an array', [newEmail(), newPassword()], [{ field: 'body', message: 'must be a JSON object' }]],
    ])('is refused with %s', async (_kind, body, errors) => {
      const before = await countAccounts();
      expectProblem(await service.client.post(path, body as object), 'validation_failed', errors);
      expect(await countAccounts()).toBe(before);
    });

    it.each([
      ['a lone surrogate', `{"email":"ada@example.com","password":"pw-secret-\\ud800abcdefgh"}`],
      ['a prototype member', `{"email":"ada@example.com","password":"pw-secret-abcdefgh","__proto__":{}}`],
      ['a half object', `{"email":"ada@example.com"`],
    ])('is refused as malformed with %s', async (_kind, body) => {
      expectProblem(await postText(path, body), 'malformed_request');
    });

    it('is refused above 16 KiB', async () => {
      const body = JSON.stringify({ email: newEmail(), password: 'x'.repeat(16 * 1024) });
      expectProblem(await postText(path, body), 'payload_too_large');
    });
  });

  describe('login', () => {
    it('answers with a token pair of a new session each time, and leaves the earlier ones alone', async () => {
      const account = await service.client.signUp();
      const responses = [
        await service.client.login({ email: account.email, password: account.password }),
        await otherInstance.client.login({ email: account.email.toUpperCase(), password: account.password }),
      ];
      for (const response of responses) {
        expect(response.status).toBe(200);
        expect(response.headers['cache-control']).toBe('no-store');
        expect(response.body).toEqual({
          access_token: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/),
          token_type: 'Bearer',
          expires_in: 300,
          refresh_token: expect.stringMatching(/^rt1\.[\w-]{92}$/),
          refresh_expires_in: 1_209_600,
        });
      }
      const [first, second] = responses.map(pairOf);
      expect(sessionIdOf(second!)).not.toBe(sessionIdOf(first!));
      expect((await service.client.refresh(first!.refresh_token)).status).toBe(200);
      expect((await service.client.refresh(second!.refresh_token)).status).toBe(200);
    });

    it('adopts no session that comes along with it', async () => {
      const account = await service.client.signUpAndIn();
      const response = await service.client.post(
        '/auth/login',
        { email: account.email, password: account.password },
        { authorization: `Bearer ${account.pair.access_token}`, cookie: `sid=${sessionIdOf(account.pair)}` },
      );
      expect(sessionIdOf(pairOf(response))).not.toBe(sessionIdOf(account.pair));
    });

    it('puts the roles of the account into the token, a change of them at the next refresh, and none as no claim', async () => {
      const users = service.app.get(UsersService);
      const account = await service.client.signUp();
      await users.setRoles(account.id, ['orders:read', 'admin']);
      const pair = await service.client.signIn(account);
      expect(claimsOf(pair.access_token)).toMatchObject({
        roles: ['admin', 'orders:read'],
        scope: 'admin orders:read',
      });
      expect((await service.client.me(pair.access_token)).body).toMatchObject({ roles: ['admin', 'orders:read'] });

      await users.setRoles(account.id, []);
      const next = await otherInstance.client.rotate(pair.refresh_token);
      const claims = Object.keys(claimsOf(next.access_token));
      expect(claims).toContain('client_id');
      expect(claims).not.toContain('roles');
      expect(claims).not.toContain('scope');
      expect((await service.client.me(next.access_token)).body).toMatchObject({ roles: [] });
    });

    it('answers a wrong password, an unknown e-mail and a malformed one alike, to the last header', async () => {
      const account = await service.client.signUp();
      const answers = await Promise.all(
        [account.email, newEmail(), 'no address', ''].map(async (email) =>
          comparable(await service.client.login({ email, password: newPassword() })),
        ),
      );
      expectProblem(
        await service.client.login({ email: account.email, password: newPassword() }),
        'invalid_credentials',
      );
      for (const answer of answers) {
        expect(answer).toEqual(answers[0]);
      }
    });

    it('tells only a client that knows the password that the account is disabled', async () => {
      const account = await service.client.signUp();
      const wrong = comparable(await service.client.login({ email: newEmail(), password: newPassword() }));
      await service.app.get(AccountsService).disable(account.id);

      const guess = await service.client.login({ email: account.email, password: newPassword() });
      expectProblem(guess, 'invalid_credentials');
      expect(comparable(guess)).toEqual(wrong);
      expectProblem(
        await otherInstance.client.login({ email: account.email, password: account.password }),
        'account_disabled',
      );
      expect(await database.sql('select id from refresh_token_families where user_id = $1', [account.id])).toEqual([]);

      await service.app.get(AccountsService).enable(account.id);
      expect((await otherInstance.client.login({ email: account.email, password: account.password })).status).toBe(200);
    });

    it('takes a password that breaks the rules for new ones for a wrong one', async () => {
      const account = await service.client.signUp();
      for (const password of ['', 'short', 'password123', 'x'.repeat(200)]) {
        expectProblem(await service.client.login({ email: account.email, password }), 'invalid_credentials');
      }
    });

    it('refuses to hash a password of more than 1024 bytes', async () => {
      const response = await service.client.login({ email: newEmail(), password: '€'.repeat(400) });
      expectProblem(response, 'validation_failed', [
        { field: 'password', message: 'must be at most 1024 bytes long in UTF-8' },
      ]);
    });

    it('takes the composed and the decomposed spelling of an accent for one password', async () => {
      const tail = newPassword();
      const composed = `caf\u00e9-${tail}`;
      const decomposed = `cafe\u0301-${tail}`;
      expect(await logsIn(composed, decomposed)).toBe(true);
      expect(await logsIn(decomposed, composed)).toBe(true);
      expect(await logsIn(composed, `cafe-${tail}`)).toBe(false);
    });

    it('compares whole passwords: beyond 72 bytes, beyond a NUL, with the spaces around them, with their case', async () => {
      const long = `${newPassword()}${'x'.repeat(60)}`;
      const password = newPassword();
      expect(await logsIn(`${long}1`, `${long}1`)).toBe(true);
      expect(await logsIn(`${long}1`, `${long}2`)).toBe(false);
      expect(await logsIn(`${password}\u0000one`, `${password}\u0000one`)).toBe(true);
      expect(await logsIn(`${password}\u0000one`, `${password}\u0000two`)).toBe(false);
      expect(await logsIn(`${password}\u0000one`, password)).toBe(false);
      expect(await logsIn(` ${password} `, ` ${password} `)).toBe(true);
      expect(await logsIn(` ${password} `, password)).toBe(false);
      expect(await logsIn(`${password}A`, `${password}a`)).toBe(false);
    });

    it('renews a hash with weaker parameters, without touching the credential version or the sessions', async () => {
      const account = await service.client.signUpAndIn();
      const weakHash = await hash(account.password, { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
      await database.sql('update users set password_hash = $2, credential_version = 7 where id = $1', [
        account.id,
        weakHash,
      ]);

      expectProblem(
        await service.client.login({ email: account.email, password: newPassword() }),
        'invalid_credentials',
      );
      expect(await credentialsOf(account.id)).toEqual({ password_hash: weakHash, credential_version: 7 });

      await service.client.signIn(account);
      const renewed = await credentialsOf(account.id);
      expect(renewed).toEqual({
        password_hash: expect.stringMatching(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/),
        credential_version: 7,
      });
      expect((await service.client.refresh(account.pair.refresh_token)).status).toBe(200);

      await service.client.signIn(account);
      expect(await credentialsOf(account.id)).toEqual(renewed);
    });
  });

  async function credentialsOf(userId: string): Promise<object | undefined> {
    const [row] = await database.sql('select password_hash, credential_version from users where id = $1', [userId]);
    return row;
  }

  async function postText(path: string, body: string): Promise<Response> {
    return request(service.url).post(path).set('content-type', 'application/json').send(body);
  }
});

/** All that an observer can tell two answers apart by. */
function comparable({ status, headers, body }: Response): object {
  const lasting = Object.entries(headers as Record<string, string>).filter(
    ([name]) => name !== 'date' && name !== 'x-request-id',
  );
  return { status, headers: Object.fromEntries(lasting), body: { ...(body as object), request_id: undefined } };
}
