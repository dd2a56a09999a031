import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import * as oauth from 'oauth4webapi';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { UsersService } from '../src/users/users.service.js';
import { DEBIAN_PYTHON, hasPythonModules } from './support/debian-python.js';
import { eventually } from './support/eventually.js';
import { ageSession } from './support/move-clock.js';
import { expectProblem } from './support/problem.js';
import { type RawAnswer, sendRaw } from './support/raw-request.js';
import { runCommand } from './support/run-command.js';
import { recordStatements } from './support/statement-log.js';
import { ROTATION } from './support/statements.js';
import {
  type Account,
  claimsOf,
  codeOf,
  newIdempotencyKey,
  newPassword,
  sessionIdOf,
  type TokenPair,
} from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy, useService } from './support/use-service.js';

const ISSUER = 'https://auth.example.com';
const FORM_TYPE = ['content-type', 'application/x-www-form-urlencoded'] as const;
const CLIENT: oauth.Client = { client_id: 'ratchet' };
const DAY_SECONDS = 86_400;

type Parameters = Readonly<Record<string, string>>;

/** What a client of OAuth gets to see, with the headers that concern it. */
interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly cacheControl: string | undefined;
  readonly pragma: string | undefined;
  readonly challenge: string | undefined;
  readonly retryAfter: string | undefined;
  readonly body: unknown;
}

function shown({ status, headers, text, body }: RawAnswer): Answer {
  return {
    status,
    contentType: headers['content-type'],
    cacheControl: headers['cache-control'],
    pragma: headers.pragma,
    challenge: headers['www-authenticate'],
    retryAfter: headers['retry-after'],
    body: body ?? text,
  };
}

function refusal(
  error: string,
  errorDescription: string,
  { status = 400, challenge, retryAfter }: { status?: number; challenge?: string; retryAfter?: string } = {},
): Answer {
  return {
    status,
    contentType: 'application/json',
    cacheControl: 'no-store',
    pragma: 'no-cache',
    challenge,
    retryAfter,
    body: { error, error_description: errorDescription },
  };
}

const INVALID_CLIENT = 'The client is public and identifies itself by client_id=ratchet, without any proof.';
const FORM_WANTED =
  'The body of the request must be application/x-www-form-urlencoded in UTF-8, without a content coding.';
const NOT_PARSED = 'The request could not be parsed.';
const TWICE = 'body must not have a parameter twice';
const BAD_KEY = 'Idempotency-Key must be one header of 22 to 128 visible ASCII characters';
const NOT_GRANTED = 'The scope asks for more than the roles of the user; leave it out to get all of them.';
const REUSED = 'The refresh token was used before, so its session has been ended; sign in again.';

function post(
  { url }: Pick<TestService, 'url'>,
  path: string,
  body: string | Buffer,
  headers: readonly (readonly [string, string])[] = [FORM_TYPE],
): Promise<RawAnswer> {
  return sendRaw(url, { method: 'POST', path, headers, body });
}

function form(parameters: Parameters): string {
  return new URLSearchParams(parameters).toString();
}

function refreshForm(refreshToken: string, more: Parameters = {}): string {
  return form({ grant_type: 'refresh_token', client_id: 'ratchet', refresh_token: refreshToken, ...more });
}

function withKey(key: string): readonly (readonly [string, string])[] {
  return [FORM_TYPE, ['idempotency-key', key]];
}

describe('a standard OAuth client', () => {
  const { database, service } = useService({ JWT_ISSUER: ISSUER });
  let server: oauth.AuthorizationServer;
  let account: Account;

  beforeAll(async () => {
    account = await service.client.signUp();
    await service.app.get(UsersService, { strict: false }).setRoles(account.id, ['admin', 'orders:read']);
    server = await discover('oauth2');
  });

  /** Asks as a gateway does that takes the issuer's name and TLS off. */
  const throughGateway = {
    [oauth.customFetch]: (url: string, options: object): Promise<Response> =>
      fetch(url.replace(ISSUER, service.url), options),
  };

  async function discover(algorithm: 'oauth2' | 'oidc'): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(ISSUER);
    return oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, { algorithm, ...throughGateway }),
    );
  }

  async function refresh(refreshToken: string, key?: string): Promise<oauth.TokenEndpointResponse> {
    const response = await oauth.refreshTokenGrantRequest(server, CLIENT, oauth.None(), refreshToken, {
      ...throughGateway,
      ...(key !== undefined && { headers: { 'idempotency-key': key } }),
    });
    return oauth.processRefreshTokenResponse(server, CLIENT, response);
  }

  async function revoke(token: string, more: Record<string, string> = {}): Promise<void> {
    const response = await oauth.revocationRequest(server, CLIENT, oauth.None(), token, {
      ...throughGateway,
      additionalParameters: more,
    });
    await oauth.processRevocationResponse(response);
  }

  /** What a gateway is told about an access token. */
  async function verdict(accessToken: string): Promise<string> {
    const { status, headers } = await service.client.get('/auth/verify', accessToken);
    return status === 200 ? 'good' : String(headers['x-auth-error']);
  }

  it.each(['oauth2', 'oidc'] as const)('discovers the service (%s)', async (algorithm) => {
    expect(await discover(algorithm)).toEqual({
      issuer: ISSUER,
      token_endpoint: `${ISSUER}/oauth/token`,
      revocation_endpoint: `${ISSUER}/oauth/revoke`,
      jwks_uri: `${ISSUER}/.well-known/jwks.json`,
      grant_types_supported: ['refresh_token'],
      response_types_supported: [],
      token_endpoint_auth_methods_supported: ['none'],
      revocation_endpoint_auth_methods_supported: ['none'],
      ...(algorithm === 'oidc' && {
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
      }),
    });
  });

  it('refreshes, and verifies what it got with the keys that the metadata names', async () => {
    const pair = await service.client.signIn(account);
    const tokens = await refresh(pair.refresh_token);
    expect(tokens).toEqual({
      access_token: expect.stringMatching(/^eyJ/),
      token_type: 'bearer',
      expires_in: 300,
      refresh_token: expect.stringMatching(/^rt1\.[\w-]{92}$/),
      refresh_expires_in: 14 * DAY_SECONDS,
      scope: 'admin orders:read',
    });
    const request = new Request('https://orders.example.com/', {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    const claims = await oauth.validateJwtAccessToken(server, request, 'ratchet', throughGateway);
    expect(claims).toMatchObject({ iss: ISSUER, client_id: 'ratchet', sub: account.id, scope: tokens.scope });
    expect(sessionIdOf(tokens)).toBe(sessionIdOf(pair));
    expect(await verdict(tokens.access_token)).toBe('good');
  });

  it('repeats a refresh with its Idempotency-Key and gets the same successor', async () => {
    const { refresh_token } = await service.client.signIn(account);
    const key = newIdempotencyKey();
    const first = await refresh(refresh_token, key);
    const again = await refresh(refresh_token, key);
    expect(again.refresh_token).toBe(first.refresh_token);
    // The JSON route is the same exchange.
    expect((await service.client.rotate(refresh_token, key)).refresh_token).toBe(first.refresh_token);
  });

  it('is told invalid_grant for a used token, and the session is over', async () => {
    const { refresh_token } = await service.client.signIn(account);
    const next = await refresh(refresh_token);
    await expect(refresh(refresh_token)).rejects.toMatchObject({
      error: 'invalid_grant',
      error_description: REUSED,
      status: 400,
    });
    await expect(refresh(next.refresh_token!)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(await verdict(next.access_token)).toBe('access_token_revoked');
  });

  it.each([
    ['refresh token', (pair: TokenPair) => pair.refresh_token, {}],
    ['refresh token under a wrong hint', (pair: TokenPair) => pair.refresh_token, { token_type_hint: 'access_token' }],
    ['access token', (pair: TokenPair) => pair.access_token, { token_type_hint: 'access_token' }],
    ['access token under a hint that nobody knows', (pair: TokenPair) => pair.access_token, { token_type_hint: 'x' }],
  ])('revokes by %s: both tokens are refused at once', async (_which, tokenOf, hint) => {
    const pair = await service.client.signIn(account);
    expect(await verdict(pair.access_token)).toBe('good');
    await revoke(tokenOf(pair), hint);
    expect(await verdict(pair.access_token)).toBe('access_token_revoked');
    expect(codeOf(await service.client.refresh(pair.refresh_token))).toBe('session_revoked');
    await revoke(tokenOf(pair), hint);
    const [row] = await database.sql<{ reason: string }>(
      'select revoke_reason as reason from refresh_token_families where id = $1',
      [sessionIdOf(pair)],
    );
    expect(row).toEqual({ reason: 'logout' });
  });

  it('revokes by a refresh token that was used before', async () => {
    const pair = await service.client.signIn(account);
    const next = await refresh(pair.refresh_token);
    await revoke(pair.refresh_token);
    expect(await verdict(next.access_token)).toBe('access_token_revoked');
  });

  it('ends no other session', async () => {
    const [one, other] = [await service.client.signIn(account), await service.client.signIn(account)];
    await revoke(one.access_token);
    expect(await verdict(other.access_token)).toBe('good');
  });
});

describe('a client in Python, as docs/oauth.md pastes it', () => {
  const { service } = useService();

  /** Runs the block between what it takes for granted and a few more lines; returns what those print. */
  async function run(login: TokenPair, lines: readonly string[]): Promise<unknown> {
    const document = await readFile(new URL('../docs/oauth.md', import.meta.url), 'utf8');
    const [, block = ''] = /^```python\n([^]*?)^```$/m.exec(document) ?? [];
    const prelude = ['import json', `login = ${JSON.stringify(login)}`, 'keys, saved = {}, []'];
    const save = 'def save(token, keys): saved.append([token["refresh_token"], sorted(keys)])';
    const input = [...prelude, save, block.replace('http://127.0.0.1:3000', service.url), ...lines].join('\n');
    const result = await runCommand(DEBIAN_PYTHON, ['-'], { workingDirectory: tmpdir(), input });
    expect(result).toMatchObject({ exitCode: 0 });
    return JSON.parse(result.stdout);
  }

  const test = hasPythonModules('authlib', 'requests') ? it : it.skip;

  test('refreshes when the access token has expired, and repeats a lost answer without losing the session', async () => {
    const { pair } = await service.client.signUpAndIn();
    const first = pair.refresh_token;
    const { lost, repeated, saved } = (await run(pair, [
      'url, first = session.metadata["token_endpoint"], session.token["refresh_token"]',
      'lost = session.refresh_token(url, first)',
      'repeated = session.refresh_token(url, first)',
      'session.token["expires_at"] = 1',
      'session.get(url.replace("/oauth/token", "/auth/me")).raise_for_status()',
      'print(json.dumps({"lost": lost["refresh_token"], "repeated": repeated["refresh_token"], "saved": saved}))',
    ])) as { lost: string; repeated: string; saved: [string, string[]][] };
    expect(repeated).toBe(lost);
    const last = saved.at(-1)?.[0] ?? '';
    expect(saved).toEqual([
      [first, [first]],
      [lost, [first]],
      [lost, [first]],
      [lost, [lost]],
      [last, [lost]],
    ]);
    expect(await service.client.rotate(last)).toMatchObject({ token_type: 'Bearer' });
  });
});

describe('POST /oauth/token', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy);
  let account: Account;

  beforeAll(async () => {
    account = await service.client.signUp();
  });

  const exchange = async (
    body: string | Buffer,
    headers: readonly (readonly [string, string])[] = [FORM_TYPE],
  ): Promise<Answer> => shown(await post(service, '/oauth/token', body, headers));

  const setRoles = (roles: readonly string[]): Promise<unknown> =>
    service.app.get(UsersService, { strict: false }).setRoles(account.id, [...roles]);

  it('answers with the whole pair, and leaves out a scope of nothing', async () => {
    const { refresh_token } = await service.client.signIn(account);
    const answer = await exchange(refreshForm(refresh_token));
    expect(answer).toEqual({
      status: 200,
      contentType: 'application/json; charset=utf-8',
      cacheControl: 'no-store',
      pragma: 'no-cache',
      challenge: undefined,
      retryAfter: undefined,
      body: {
        access_token: expect.stringMatching(/^eyJ/),
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: expect.stringMatching(/^rt1\./),
        refresh_expires_in: 14 * DAY_SECONDS,
      },
    });
  });

  it('ignores what it does not know, empty values, and a bearer token of the client’s own', async () => {
    const { refresh_token, access_token } = await service.client.signIn(account);
    const body = `${refreshForm(refresh_token, { audience: 'x', __proto: '1' })}&client_secret=&scope=&constructor=1`;
    const answer = await exchange(body, [FORM_TYPE, ['authorization', `Bearer ${access_token}`]]);
    expect(answer.status).toBe(200);
  });

  it('takes the id of the client from Basic with an empty password, as libraries send it', async () => {
    let { refresh_token } = await service.client.signIn(account);
    for (const [scheme, more] of [
      ['Basic', ''],
      ['basic', '&client_id=ratchet'],
    ] as const) {
      const body = `grant_type=refresh_token&refresh_token=${refresh_token}${more}`;
      const answer = await exchange(body, [FORM_TYPE, ['authorization', `${scheme} cmF0Y2hldDo=`]]);
      expect(answer.status).toBe(200);
      ({ refresh_token } = answer.body as TokenPair);
    }
    const other = `grant_type=refresh_token&refresh_token=${refresh_token}&client_id=other`;
    expect(await exchange(other, [FORM_TYPE, ['authorization', 'Basic cmF0Y2hldDo=']])).toEqual(
      refusal('invalid_client', INVALID_CLIENT),
    );
    const revocation = form({ token: refresh_token });
    const answer = await post(service, '/oauth/revoke', revocation, [
      FORM_TYPE,
      ['authorization', 'Basic cmF0Y2hldDo='],
    ]);
    expect([answer.status, answer.body]).toEqual([200, {}]);
  });

  const TOKEN = 'grant_type=refresh_token&client_id=ratchet&refresh_token=rt1.x';

  it.each<[string, string, readonly (readonly [string, string])[], Answer]>([
    ['nothing', '', [], refusal('invalid_client', INVALID_CLIENT)],
    ['an empty form', '', [FORM_TYPE], refusal('invalid_client', INVALID_CLIENT)],
    [
      'no client',
      'grant_type=refresh_token&refresh_token=rt1.x',
      [FORM_TYPE],
      refusal('invalid_client', INVALID_CLIENT),
    ],
    ['another client', TOKEN.replace('ratchet', 'Ratchet'), [FORM_TYPE], refusal('invalid_client', INVALID_CLIENT)],
    ['a client secret', `${TOKEN}&client_secret=x`, [FORM_TYPE], refusal('invalid_client', INVALID_CLIENT)],
    ['a client assertion', `${TOKEN}&client_assertion=x`, [FORM_TYPE], refusal('invalid_client', INVALID_CLIENT)],
    [
      'Basic credentials',
      TOKEN,
      [FORM_TYPE, ['authorization', 'Basic cmF0Y2hldDp4']],
      refusal('invalid_client', INVALID_CLIENT, { status: 401, challenge: 'Bearer realm="ratchet"' }),
    ],
    [
      'no grant type',
      'client_id=ratchet&refresh_token=rt1.x',
      [FORM_TYPE],
      refusal('invalid_request', 'grant_type must be sent'),
    ],
    [
      'another grant type',
      'client_id=ratchet&grant_type=password&username=a&password=b',
      [FORM_TYPE],
      refusal('unsupported_grant_type', 'The only grant_type is refresh_token.'),
    ],
    [
      'no refresh token',
      'client_id=ratchet&grant_type=refresh_token',
      [FORM_TYPE],
      refusal('invalid_request', 'refresh_token must be sent'),
    ],
    [
      'an empty refresh token',
      'client_id=ratchet&grant_type=refresh_token&refresh_token=',
      [FORM_TYPE],
      refusal('invalid_request', 'refresh_token must be sent'),
    ],
    [
      'rubbish for a token',
      TOKEN,
      [FORM_TYPE],
      refusal('invalid_grant', 'The refresh token is not one that this service issued.'),
    ],
    ['a parameter twice', `${TOKEN}&client_id=ratchet`, [FORM_TYPE], refusal('invalid_request', TWICE)],
    ['an unknown parameter twice', `${TOKEN}&a=1&a=`, [FORM_TYPE], refusal('invalid_request', TWICE)],
    ['a parameter twice, spelt otherwise', `${TOKEN}&client%5fid=x`, [FORM_TYPE], refusal('invalid_request', TWICE)],
    [
      'too many parameters',
      `${TOKEN}${'&'.repeat(40)}`,
      [FORM_TYPE],
      refusal('invalid_request', 'body must not have more than 32 parameters'),
    ],
    ['a percent sign that encodes nothing', `${TOKEN}&a=%zz`, [FORM_TYPE], refusal('invalid_request', NOT_PARSED)],
    ['encoded bytes that are not UTF-8', `${TOKEN}&a=%ff`, [FORM_TYPE], refusal('invalid_request', NOT_PARSED)],
    ['a scope with a quote in it', `${TOKEN}&scope=%22`, [FORM_TYPE], refusal('invalid_scope', NOT_GRANTED)],
    ['a scope with two spaces', `${TOKEN}&scope=a++b`, [FORM_TYPE], refusal('invalid_scope', NOT_GRANTED)],
    ['a short Idempotency-Key', TOKEN, withKey('short'), refusal('invalid_request', BAD_KEY)],
    [
      'two Idempotency-Keys',
      TOKEN,
      [...withKey('0123456789012345678901'), ['idempotency-key', '0123456789012345678901']],
      refusal('invalid_request', BAD_KEY),
    ],
    [
      'JSON',
      '{"grant_type":"refresh_token","client_id":"ratchet","refresh_token":"rt1.x"}',
      [['content-type', 'application/json']],
      refusal('invalid_request', FORM_WANTED, { status: 415 }),
    ],
    [
      'another charset',
      TOKEN,
      [['content-type', `${FORM_TYPE[1]}; charset=iso-8859-1`]],
      refusal('invalid_request', FORM_WANTED, { status: 415 }),
    ],
    [
      'a content coding',
      TOKEN,
      [FORM_TYPE, ['content-encoding', 'gzip']],
      refusal('invalid_request', FORM_WANTED, { status: 415 }),
    ],
    ['no content type', TOKEN, [], refusal('invalid_request', FORM_WANTED, { status: 415 })],
    [
      'multipart',
      TOKEN,
      [['content-type', 'multipart/form-data; boundary=x']],
      refusal('invalid_request', FORM_WANTED, { status: 415 }),
    ],
    [
      'more than 16 KiB',
      `${TOKEN}&a=${'x'.repeat(16 * 1024)}`,
      [FORM_TYPE],
      refusal('invalid_request', 'The body of the request is larger than 16 KiB.', { status: 413 }),
    ],
  ])('refuses %s in OAuth’s words, without a query', async (_what, body, headers, expected) => {
    const statements = recordStatements(proxy);
    expect(await exchange(body, headers)).toEqual(expected);
    expect(statements).toEqual([]);
  });

  it('refuses bytes that are not UTF-8', async () => {
    const body = Buffer.concat([Buffer.from(`${TOKEN}&a=`), Buffer.from([0xff])]);
    expect(await exchange(body)).toEqual(refusal('invalid_request', NOT_PARSED));
  });

  it('leaves the token alone when it refuses the client: a library that tries another way next may go on', async () => {
    const { refresh_token } = await service.client.signIn(account);
    const basic = await exchange(refreshForm(refresh_token), [FORM_TYPE, ['authorization', 'Basic cmF0Y2hldDp4']]);
    expect(basic.status).toBe(401);
    expect((await exchange(refreshForm(refresh_token))).status).toBe(200);
  });

  it('answers invalid_grant whatever the reason to refuse a refresh token', async () => {
    const invalidGrant = (description: string): Answer => refusal('invalid_grant', description);

    const revoked = await service.client.signIn(account);
    await service.client.logout({ refreshToken: revoked.refresh_token });
    expect(await exchange(refreshForm(revoked.refresh_token))).toEqual(
      invalidGrant('The session has been ended; sign in again.'),
    );

    const aged = await service.client.signIn(account);
    await ageSession(database, sessionIdOf(aged), 31 * DAY_SECONDS);
    expect(await exchange(refreshForm(aged.refresh_token, { scope: 'admin' }))).toEqual(
      invalidGrant('The session has expired; sign in again.'),
    );

    const disabled = await service.client.signUpAndIn();
    await service.app.get(AccountsService, { strict: false }).disable(disabled.id);
    expect(await exchange(refreshForm(disabled.pair.refresh_token))).toEqual(
      invalidGrant('The account has been disabled.'),
    );
  });

  it('refuses a key that has served, as a fault of the request: the token stays good', async () => {
    const { refresh_token } = await service.client.signIn(account);
    const key = newIdempotencyKey();
    const next = (await exchange(refreshForm(refresh_token), withKey(key))).body as TokenPair;
    expect(await exchange(refreshForm(next.refresh_token), withKey(key))).toEqual(
      refusal('invalid_request', 'This Idempotency-Key has served an earlier refresh; make a fresh one for each.'),
    );
    expect((await exchange(refreshForm(next.refresh_token), withKey(newIdempotencyKey()))).status).toBe(200);
  });

  describe('with a scope', () => {
    it('carries only what is asked for into the access token, while the refresh token keeps all', async () => {
      await setRoles(['admin', 'billing', 'orders:read']);
      let { refresh_token } = await service.client.signIn(account);
      for (const [asked, granted] of [
        ['orders:read', 'orders:read'],
        ['admin billing orders:read', 'admin billing orders:read'],
        ['orders:read admin orders:read', 'admin orders:read'],
        ['billing', 'billing'],
        ['', 'admin billing orders:read'],
      ] as const) {
        const answer = await exchange(refreshForm(refresh_token, { scope: asked }));
        expect(answer).toMatchObject({ status: 200, body: { scope: granted } });
        const pair = answer.body as TokenPair;
        expect(claimsOf(pair.access_token)).toMatchObject({ roles: granted.split(' '), scope: granted });
        const { headers } = await service.client.get('/auth/verify', pair.access_token);
        expect(headers).toMatchObject({ 'x-user-roles': granted.replaceAll(' ', ',') });
        ({ refresh_token } = pair);
      }
    });

    it.each(['owner', 'admin owner', 'ADMIN', 'openid', '__proto__'])(
      'refuses %j, which the user does not have, and the token stays good',
      async (scope) => {
        await setRoles(['admin']);
        const { refresh_token } = await service.client.signIn(account);
        const key = newIdempotencyKey();
        for (const headers of [[FORM_TYPE], withKey(key), withKey(key)]) {
          expect(await exchange(refreshForm(refresh_token, { scope }), headers)).toEqual(
            refusal('invalid_scope', NOT_GRANTED),
          );
        }
        expect((await exchange(refreshForm(refresh_token), withKey(key))).status).toBe(200);
      },
    );

    it('still judges a used token as reuse', async () => {
      await setRoles(['admin']);
      const pair = await service.client.signIn(account);
      const next = await service.client.rotate(pair.refresh_token);
      expect(await exchange(refreshForm(pair.refresh_token, { scope: 'owner' }))).toEqual(
        refusal('invalid_grant', REUSED),
      );
      expect(codeOf(await service.client.refresh(next.refresh_token))).toBe('refresh_token_reused');
    });

    it('of a retry narrows its answer and never refuses it: what it repeats is done', async () => {
      await setRoles(['admin', 'billing']);
      const { refresh_token } = await service.client.signIn(account);
      const key = newIdempotencyKey();
      const ask = async (scope: string): Promise<Record<string, unknown>> =>
        (await exchange(refreshForm(refresh_token, { scope }), withKey(key))).body as Record<string, unknown>;
      const first = await ask('admin');
      expect(first).toMatchObject({ scope: 'admin' });
      expect(await ask('admin')).toMatchObject({ scope: 'admin', refresh_token: first['refresh_token'] });
      expect(await ask('billing')).toMatchObject({ scope: 'billing', refresh_token: first['refresh_token'] });
      await setRoles(['billing']);
      expect(await ask('admin billing')).toMatchObject({ scope: 'billing', refresh_token: first['refresh_token'] });
      const rest = await ask('admin');
      expect(rest).toMatchObject({ refresh_token: first['refresh_token'] });
      expect(rest).not.toHaveProperty('scope');
    });

    it('is judged with the token, in one statement', async () => {
      await setRoles(['admin']);
      let { refresh_token } = await service.client.signIn(account);
      const statements = recordStatements(proxy);
      for (const more of [{}, { scope: 'admin' }]) {
        ({ refresh_token } = (await exchange(refreshForm(refresh_token, more))).body as TokenPair);
      }
      await exchange(refreshForm(refresh_token, { scope: 'owner' }));
      expect(statements.map((statement) => ROTATION.test(statement))).toEqual([true, true, true]);
    });
  });

  it('settles an answer that the database lost, as the JSON route does', async () => {
    const { refresh_token } = await service.client.signIn(account);
    proxy.cutNext(ROTATION, 'after');
    expect((await exchange(refreshForm(refresh_token))).status).toBe(200);
  });

  it('repeats nothing of a request in its answer', async () => {
    const secret = newPassword();
    const bodies = [
      `client_id=${secret}`,
      `client_id=ratchet&grant_type=${secret}`,
      `${TOKEN}${secret}`,
      `${secret}=1&${secret}=2`,
      `client_secret=${secret}`,
      `${TOKEN}&scope=%22${secret}`,
    ];
    for (const body of bodies) {
      const answer = await post(service, '/oauth/token', body);
      expect(answer.status).toBe(400);
      expect(answer.text).not.toContain(secret);
    }
  });

  it('answers other methods with 405 in OAuth’s words, and other spellings of the path with 404', async () => {
    for (const path of ['/oauth/token', '/oauth/revoke?x=1']) {
      for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
        const answer = await sendRaw(service.url, { method, path });
        const sentence = 'This resource does not support the method; the Allow header lists those that it does.';
        expect(shown(answer)).toEqual(refusal('invalid_request', sentence, { status: 405 }));
        expect(answer.headers.allow).toBe('POST');
      }
    }
    for (const path of ['/oauth/token/', '/OAuth/token', '/oauth', '/oauth/authorize', '//oauth/token']) {
      expectProblem(await post(service, path, TOKEN), 'not_found');
    }
  });

  it('has its forms to itself: other routes still read JSON only', async () => {
    for (const path of ['/auth/login', '/auth/refresh', '/auth/logout', '/auth/register']) {
      expectProblem(await post(service, path, 'refresh_token=rt1.x'), 'unsupported_media_type');
    }
  });

  it('answers every form, however odd, in OAuth’s words and without a failure', async () => {
    const name = fc.constantFrom(
      ...[
        'grant_type',
        'client_id',
        'refresh_token',
        'scope',
        'token',
        'client_secret',
        '__proto__',
        'constructor',
        '',
      ],
    );
    const value = fc.oneof(
      fc.constantFrom('refresh_token', 'ratchet', 'rt1.x', 'rt1.', '', '%', '%00', '%f0%9f%92%a9', '%ed%a0%80', '+'),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: 'binary', maxLength: 40 }).map(encodeOrEmpty),
    );
    const pairs = fc
      .array(fc.tuple(fc.oneof(name, fc.string({ maxLength: 8 })), fc.constantFrom('=', '', '=='), value), {
        maxLength: 40,
      })
      .map((fields) => fields.map((parts) => parts.join('')).join('&'));
    const body = fc.oneof(
      pairs,
      pairs.map((rest) => `${TOKEN}&${rest}`),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('/oauth/token', '/oauth/revoke'), body, async (path, bytes) => {
        const answer = await post(service, path, bytes);
        const isRevoked = path === '/oauth/revoke' && answer.status === 200 && answer.text === '{}';
        const isRefused =
          answer.status === 400 && typeof (answer.body as { error?: unknown } | undefined)?.error === 'string';
        expect({ path, status: answer.status, isAnswer: isRevoked || isRefused }).toMatchObject({ isAnswer: true });
      }),
      { numRuns: 200 },
    );
    expect(service.logs.filter((line) => line['code'] === 'internal_error')).toEqual([]);
  });
});

describe('POST /oauth/revoke', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, { REVOCATION_MAX_STALENESS_SECONDS: '60' });

  const revoke = async (parameters: Parameters): Promise<Answer> =>
    shown(await post(service, '/oauth/revoke', form({ client_id: 'ratchet', ...parameters })));

  const DONE: Answer = {
    status: 200,
    contentType: 'application/json; charset=utf-8',
    cacheControl: 'no-store',
    pragma: undefined,
    challenge: undefined,
    retryAfter: undefined,
    body: {},
  };

  it('succeeds for a text that is no token, without a query', async () => {
    const { pair } = await service.client.signUpAndIn();
    const statements = recordStatements(proxy);
    const tokens = [
      'x',
      'rt1.',
      `${pair.refresh_token.slice(0, -1)}_`,
      `${pair.access_token.slice(0, -6)}AAAAAA`,
      'eyJ.eyJ.',
      '\u0000',
      'x'.repeat(15_000),
    ];
    for (const token of tokens) {
      expect(await revoke({ token })).toEqual(DONE);
    }
    expect(statements).toEqual([]);
    expect((await service.client.get('/auth/verify', pair.access_token)).status).toBe(200);
  });

  it('succeeds for a session that has ended, expired or been deleted', async () => {
    const { pair } = await service.client.signUpAndIn();
    await service.client.logout({ accessToken: pair.access_token });
    expect(await revoke({ token: pair.access_token })).toEqual(DONE);
    await ageSession(database, sessionIdOf(pair), 40 * DAY_SECONDS);
    expect(await revoke({ token: pair.refresh_token })).toEqual(DONE);
    await database.sql('delete from refresh_token_families where id = $1', [sessionIdOf(pair)]);
    expect(await revoke({ token: pair.refresh_token })).toEqual(DONE);
    expect(await revoke({ token: pair.access_token })).toEqual(DONE);
  });

  it('asks for the token and the client', async () => {
    expect(await revoke({ token_type_hint: 'refresh_token' })).toEqual(
      refusal('invalid_request', 'token must be sent'),
    );
    const { pair } = await service.client.signUpAndIn();
    expect(await revoke({ client_id: 'other', token: pair.refresh_token })).toEqual(
      refusal('invalid_client', INVALID_CLIENT),
    );
    expect((await service.client.refresh(pair.refresh_token)).status).toBe(200);
  });

  it('answers 503 while the database is away, on both routes, and does what it says when it is back', async () => {
    const { pair } = await service.client.signUpAndIn();
    proxy.refuse();
    await eventually(async () => (await service.client.get('/health/ready')).status === 503, { withinMs: 5_000 });
    const away = refusal(
      'temporarily_unavailable',
      'The service cannot answer right now. Nothing was done; retry later.',
      { status: 503, retryAfter: '1' },
    );
    expect(await revoke({ token: pair.refresh_token })).toEqual(away);
    expect(await revoke({ token: pair.access_token })).toEqual(away);
    for (const more of [{}, { scope: 'admin' }]) {
      expect(shown(await post(service, '/oauth/token', refreshForm(pair.refresh_token, more)))).toEqual(away);
    }
    expect((await service.client.get('/auth/verify', pair.access_token)).status).toBe(200);
    await proxy.resume();
    await eventually(async () => (await service.client.get('/health/ready')).status === 200, { withinMs: 5_000 });
    expect(await revoke({ token: pair.access_token })).toEqual(DONE);
    expect((await service.client.get('/auth/verify', pair.access_token)).status).toBe(401);
  });
});

describe('refused tokens', () => {
  it('count on the OAuth routes as on the others, and the answer says when to come back', async () => {
    const database = await createTestDatabase();
    const service = await startService(database, { RATE_LIMITS: 'on' });
    try {
      const { pair } = await service.client.signUpAndIn();
      const attempts = Array.from({ length: 100 }, () => [
        post(service, '/oauth/token', refreshForm('rt1.x')),
        post(service, '/oauth/revoke', form({ client_id: 'ratchet', token: 'x' })),
        service.client.refresh('rt1.x'),
      ]);
      await Promise.all(attempts.flat());
      const answer = await post(service, '/oauth/token', refreshForm('rt1.x'));
      const seconds = Number(answer.headers['retry-after']);
      expect(shown(answer)).toEqual(
        refusal('temporarily_unavailable', 'There were too many attempts recently; wait as long as Retry-After says.', {
          status: 429,
          retryAfter: String(seconds),
        }),
      );
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(60);
      expect((await post(service, '/oauth/revoke', form({ client_id: 'ratchet', token: 'x' }))).status).toBe(429);
      expect((await post(service, '/oauth/token', refreshForm(pair.refresh_token))).status).toBe(200);
      const revocation = form({ client_id: 'ratchet', token: pair.access_token });
      expect((await post(service, '/oauth/revoke', revocation)).status).toBe(200);
    } finally {
      await service.stop();
      await database.close();
    }
  });
});

describe('the metadata', () => {
  const PATHS = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.close());

  async function withIssuer(issuer: string, work: (service: TestService) => Promise<void>): Promise<void> {
    const service = await startService(database, { JWT_ISSUER: issuer });
    try {
      await work(service);
    } finally {
      await service.stop();
    }
  }

  it('may be kept for five minutes, is confirmed by its entity tag, and does not heed the Host', async () => {
    await withIssuer(ISSUER, async (service) => {
      for (const path of PATHS) {
        const answer = await sendRaw(service.url, { path, headers: [['x-forwarded-host', 'evil.example']] });
        expect(answer).toMatchObject({
          status: 200,
          body: { issuer: ISSUER, token_endpoint: `${ISSUER}/oauth/token` },
        });
        expect(answer.headers).toMatchObject({
          'content-type': 'application/json',
          'cache-control': 'public, max-age=300',
          etag: expect.stringMatching(/^"[\w-]{43}"$/),
        });
        const again = await sendRaw(service.url, {
          path,
          headers: [['if-none-match', `W/"x", ${answer.headers.etag!}`]],
        });
        expect([again.status, again.text, again.headers.etag]).toEqual([304, '', answer.headers.etag]);
      }
      expectProblem(await sendRaw(service.url, { path: `${PATHS[0]!}/` }), 'not_found');
      expectProblem(await sendRaw(service.url, { path: `${PATHS[0]!}/tenant` }), 'not_found');
    });
  });

  it('is found from the address of the service, which names no version, and may be cached', async () => {
    const document = { name: 'Ratchet', issuer: `${ISSUER}/`, documentation: `${ISSUER}/docs` };
    await withIssuer(`${ISSUER}/`, async (service) => {
      const answer = await sendRaw(service.url, { path: '/', headers: [['x-forwarded-host', 'evil.example']] });
      const links = { metadata: PATHS[0]!, keys: '/.well-known/jwks.json', health: '/health/ready' };
      const absolute = Object.entries(links).map(([name, path]) => [name, `${ISSUER}${path}`]);
      expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'public, max-age=300' } });
      expect(answer.body).toEqual({ ...document, ...Object.fromEntries(absolute) });
      for (const path of [...Object.values(links), '/docs']) {
        expect((await sendRaw(service.url, { path })).status).toBe(200);
      }
    });
    const undocumented = await startService(database, { JWT_ISSUER: ISSUER, API_DOCS: 'off' });
    expect((await undocumented.client.get('/')).body).not.toHaveProperty('documentation');
    await undocumented.stop();
  });

  it('of an issuer with a path is where RFC 8414 inserts it, with every address below the issuer', async () => {
    for (const issuer of ['https://example.com/tenant/one', 'https://example.com/tenant/one/']) {
      await withIssuer(issuer, async (service) => {
        const discovered = await oauth.processDiscoveryResponse(
          new URL(issuer),
          await oauth.discoveryRequest(new URL(issuer), {
            algorithm: 'oauth2',
            [oauth.customFetch]: (url: string) => fetch(url.replace('https://example.com', service.url)),
          }),
        );
        expect(discovered).toMatchObject({
          issuer,
          token_endpoint: 'https://example.com/tenant/one/oauth/token',
          revocation_endpoint: 'https://example.com/tenant/one/oauth/revoke',
          jwks_uri: 'https://example.com/tenant/one/.well-known/jwks.json',
        });
        for (const path of ['/tenant', '/tenant/one/more', '/tenant/', '//tenant/one']) {
          expectProblem(await sendRaw(service.url, { path: `${PATHS[0]!}${path}` }), 'not_found');
        }
      });
    }
  });
});

/** A lone surrogate has no encoding. */
function encodeOrEmpty(text: string): string {
  return /\p{Surrogate}/u.test(text) ? '' : encodeURIComponent(text);
}
