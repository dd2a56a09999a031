import { beforeAll, describe, expect, it } from 'vitest';
import request from 'supertest';
import type { ProblemCode } from '../src/platform/common/domain.errors.js';
import { PROBLEM_CATALOGUE } from '../src/platform/http/problems/problem.catalogue.js';
import { eventually } from './support/eventually.js';
import { MAIL_ON } from './support/mail-on.js';
import { RELATED_PASSKEYS_ON } from './support/passkeys.js';
import { expectProblem } from './support/problem.js';
import { type RawAnswer, sendRaw } from './support/raw-request.js';
import { type Account, newEmail, newIdempotencyKey, newPassword, type TokenPair } from './support/test-client.js';
import type { TestService } from './support/test-service.js';
import { useDatabase, useInstance, useService } from './support/use-service.js';

const UUID = '00000000-0000-4000-8000-000000000000';
const JSON_TYPE = ['content-type', 'application/json'] as const;

interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly takesBody: boolean;
  /** It may also come without one. */
  readonly isBodyOptional?: true;
  readonly needsToken: boolean;
  /** The methods of the path, with HEAD where there is a GET. */
  readonly allow: string;
}

const ROUTES: readonly Route[] = [
  { method: 'POST', path: '/auth/register', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/login', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/refresh', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/logout', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/logout-all', takesBody: false, needsToken: true, allow: 'POST' },
  { method: 'POST', path: '/auth/password', takesBody: true, needsToken: true, allow: 'POST' },
  { method: 'POST', path: '/auth/password/forgot', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/password/reset', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/email-code', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/login/email-code', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/email', takesBody: true, needsToken: true, allow: 'POST' },
  { method: 'POST', path: '/auth/email/confirm', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/email/undo', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/email/verification', takesBody: false, needsToken: true, allow: 'POST' },
  { method: 'POST', path: '/auth/email/verify', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/login/second-factor', takesBody: true, needsToken: false, allow: 'POST' },
  { method: 'POST', path: '/auth/totp', takesBody: false, needsToken: true, allow: 'DELETE, POST' },
  { method: 'POST', path: '/auth/totp/confirm', takesBody: true, needsToken: true, allow: 'POST' },
  { method: 'DELETE', path: '/auth/totp', takesBody: false, needsToken: true, allow: 'DELETE, POST' },
  { method: 'POST', path: '/auth/recovery-codes', takesBody: false, needsToken: true, allow: 'POST' },
  { method: 'GET', path: '/auth/factors', takesBody: false, needsToken: true, allow: 'GET, HEAD' },
  { method: 'POST', path: '/auth/step-up', takesBody: true, needsToken: true, allow: 'POST' },
  { method: 'POST', path: '/auth/login/passkey', takesBody: true, needsToken: false, allow: 'POST' },
  // The other methods of these two are those of a passkey whose id is the last part of the path.
  {
    method: 'POST',
    path: '/auth/passkeys/options',
    takesBody: true,
    isBodyOptional: true,
    needsToken: false,
    allow: 'DELETE, PATCH, POST',
  },
  {
    method: 'POST',
    path: '/auth/passkeys/registration',
    takesBody: false,
    needsToken: true,
    allow: 'DELETE, PATCH, POST',
  },
  { method: 'POST', path: '/auth/passkeys', takesBody: true, needsToken: true, allow: 'POST' },
  { method: 'PATCH', path: `/auth/passkeys/${UUID}`, takesBody: true, needsToken: true, allow: 'DELETE, PATCH' },
  { method: 'DELETE', path: `/auth/passkeys/${UUID}`, takesBody: false, needsToken: true, allow: 'DELETE, PATCH' },
  { method: 'GET', path: '/.well-known/webauthn', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/auth/me', takesBody: false, needsToken: true, allow: 'GET, HEAD' },
  { method: 'GET', path: '/auth/sessions', takesBody: false, needsToken: true, allow: 'GET, HEAD' },
  { method: 'DELETE', path: `/auth/sessions/${UUID}`, takesBody: false, needsToken: true, allow: 'DELETE' },
  { method: 'GET', path: '/.well-known/jwks.json', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  {
    method: 'GET',
    path: '/.well-known/oauth-authorization-server',
    takesBody: false,
    needsToken: false,
    allow: 'GET, HEAD',
  },
  { method: 'GET', path: '/.well-known/openid-configuration', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/health/live', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/health/started', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/health/ready', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/openapi.json', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
  { method: 'GET', path: '/docs', takesBody: false, needsToken: false, allow: 'GET, HEAD' },
];

const BODY_ROUTES = ROUTES.filter(({ takesBody }) => takesBody);

const NO_BODIES: readonly string[] = ['', '{}', 'null'];

/** Every body is wrong for every route that takes one; `NO_BODIES` where it is needed. */
const BAD_BODIES: readonly (readonly [kind: string, body: string | Buffer, code: ProblemCode])[] = [
  ['nothing', '', 'validation_failed'],
  ['an empty object', '{}', 'validation_failed'],
  ['null', 'null', 'validation_failed'],
  ['a boolean', 'true', 'validation_failed'],
  ['a number', '1e999', 'validation_failed'],
  ['text', '"refresh_token"', 'validation_failed'],
  ['an array', '[{}]', 'validation_failed'],
  ['an unknown member', '{"constructed":1}', 'validation_failed'],
  ['an unknown member with a long name', `{"${'x'.repeat(8_000)}":1}`, 'validation_failed'],
  ['an unknown member that is a header name', '{"email\\r\\nset-cookie: x":1}', 'validation_failed'],
  [
    'members of the wrong types',
    '{"email":{},"password":[],"refresh_token":{"a":1},"current_password":1,"new_password":false}',
    'validation_failed',
  ],
  ['half an object', '{"email":', 'malformed_request'],
  ['two objects', '{}{}', 'malformed_request'],
  ['single quotes', "{'email':'x'}", 'malformed_request'],
  ['a comment', '{/* */}', 'malformed_request'],
  ['NaN', 'NaN', 'malformed_request'],
  ['a NUL byte', '\u0000', 'malformed_request'],
  ['a lone surrogate', '{"email":"\\udc00"}', 'malformed_request'],
  ['a lone surrogate for a name', '{"\\ud800":1}', 'malformed_request'],
  ['__proto__', '{"__proto__":{"isAdmin":true}}', 'malformed_request'],
  ['a constructor with a prototype', '{"constructor":{"prototype":{"isAdmin":true}}}', 'malformed_request'],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 'malformed_request'],
  ['8000 brackets', '['.repeat(8_000), 'malformed_request'],
  ['8000 nested arrays', `${'['.repeat(8_000)}${']'.repeat(8_000)}`, 'malformed_request'],
  ['nested objects', `${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`, 'malformed_request'],
  ['more than 16 KiB', `{"email":"${'x'.repeat(16 * 1024)}"}`, 'payload_too_large'],
];

describe('the HTTP contract', () => {
  const { database, service } = useService({
    ...MAIL_ON,
    ...RELATED_PASSKEYS_ON,
    EMAIL_SIGN_IN: 'on',
  });
  let account: Account & { readonly pair: TokenPair };

  beforeAll(async () => {
    account = await service.client.signUpAndIn();
  });

  function bearer(): readonly [string, string] {
    return ['authorization', `Bearer ${account.pair.access_token}`];
  }

  /** Hashes every row of every table, except the one that instances write of their own accord. */
  async function checksum(): Promise<string> {
    const tables = await database.sql<{ name: string }>(
      `select format('%I', tablename) as name from pg_tables
       where schemaname = 'public' and tablename <> 'instances' order by tablename`,
    );
    expect(tables.length).toBeGreaterThanOrEqual(4);
    const sums: string[] = [];
    for (const { name } of tables) {
      const [row] = await database.sql<{ sum: string }>(
        `select md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) as sum from ${name} as t`,
      );
      sums.push(`${name} ${row!.sum}`);
    }
    return sums.join('\n');
  }

  /** What earlier tests have caused is still being sent beside them. */
  async function hasSentItsMails(): Promise<boolean> {
    const waiting = await database.sql('select 1 from outgoing_mails where sent_at is null and failed_at is null');
    return waiting.length === 0;
  }

  /** Whatever came in, nothing has been changed by it. */
  async function unchanged(work: () => Promise<void>): Promise<void> {
    await eventually(hasSentItsMails, { withinMs: 15_000 });
    const before = await checksum();
    await work();
    expect(await checksum()).toBe(before);
  }

  function expectEdgeHeaders(answer: RawAnswer, cacheControl = 'no-store'): void {
    expect({
      cacheControl: answer.headers['cache-control'],
      contentTypeOptions: answer.headers['x-content-type-options'],
      requestId: answer.headers['x-request-id'],
      transportSecurity: answer.headers['strict-transport-security'],
      server: answer.headers.server,
      poweredBy: answer.headers['x-powered-by'],
      allowOrigin: answer.headers['access-control-allow-origin'],
    }).toEqual({
      cacheControl,
      contentTypeOptions: 'nosniff',
      requestId: expect.stringMatching(/^[\w.-]{1,64}$/),
      transportSecurity: 'max-age=31536000',
      server: undefined,
      poweredBy: undefined,
      allowOrigin: undefined,
    });
  }

  it('gives every code the status that docs/api.md gives it', () => {
    const statuses = Object.fromEntries(Object.entries(PROBLEM_CATALOGUE).map(([code, { status }]) => [code, status]));
    expect(statuses).toEqual({
      validation_failed: 400,
      malformed_request: 400,
      invalid_credentials: 401,
      access_token_missing: 401,
      access_token_invalid: 401,
      access_token_expired: 401,
      access_token_revoked: 401,
      insufficient_user_authentication: 401,
      refresh_token_invalid: 401,
      refresh_token_reused: 401,
      session_revoked: 401,
      session_expired: 401,
      ticket_invalid: 401,
      code_invalid: 401,
      second_factor_invalid: 401,
      second_factor_required: 403,
      account_disabled: 403,
      insufficient_role: 403,
      cross_site_request: 403,
      not_found: 404,
      method_not_allowed: 405,
      email_taken: 409,
      too_many_passkeys: 409,
      payload_too_large: 413,
      unsupported_media_type: 415,
      idempotency_key_reused: 422,
      too_many_attempts: 429,
      headers_too_large: 431,
      internal_error: 500,
      overloaded: 503,
      temporarily_unavailable: 503,
      outcome_unknown: 503,
    });
  });

  describe.each(BODY_ROUTES)('$method $path', ({ method, path, needsToken, isBodyOptional }) => {
    const headers = (): (readonly [string, string])[] => [JSON_TYPE, ...(needsToken ? [bearer()] : [])];

    it('refuses every bad body with its code, and changes nothing', async () => {
      const bodies = BAD_BODIES.filter(([, body]) => isBodyOptional !== true || !NO_BODIES.includes(String(body)));
      await unchanged(async () => {
        for (const [kind, body, code] of bodies) {
          const answer = await sendRaw(service.url, { method, path, headers: headers(), body });
          expect({ kind, code: answer.body?.code }).toEqual({ kind, code });
          expect(answer.status).toBe(PROBLEM_CATALOGUE[code].status);
          expectEdgeHeaders(answer);
        }
      });
    });

    it('repeats nothing of a bad body in its answer', async () => {
      const marker = 'pw-secret-quoted1234567890';
      for (const body of [`{"email":"${marker}"`, `{"email":["${marker}"]}`, `{"a":"${marker}"}`, `"${marker}"`]) {
        const answer = await sendRaw(service.url, { method, path, headers: headers(), body });
        expect(answer.status).toBe(400);
        expect(answer.text).not.toContain(marker);
      }
    });

    it('reads JSON in UTF-8 and nothing else', async () => {
      const body = '{"email":"ada@example.com","password":"pw-secret-abcdefgh"}';
      const others: (readonly [string, string])[][] = [
        [['content-type', 'text/plain']],
        [['content-type', 'application/x-www-form-urlencoded']],
        [['content-type', 'multipart/form-data; boundary=x']],
        [['content-type', 'application/xml']],
        [['content-type', 'application/jsonp']],
        [['content-type', 'text/json']],
        [['content-type', 'application/json; charset=utf-16']],
        [['content-type', 'application/json; charset=iso-8859-1']],
        [['content-type', 'nonsense']],
        [],
        [JSON_TYPE, ['content-encoding', 'gzip']],
      ];
      await unchanged(async () => {
        for (const contentHeaders of others) {
          const answer = await sendRaw(service.url, {
            method,
            path,
            headers: [...contentHeaders, ...(needsToken ? [bearer()] : [])],
            body,
          });
          expectProblem(answer, 'unsupported_media_type');
        }
      });
    });
  });

  describe.each(ROUTES)('$method $path', ({ method, path, needsToken, takesBody, isBodyOptional, allow }) => {
    it('answers every other method with 405 and the ones it knows', async () => {
      await unchanged(async () => {
        const all = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];
        for (const other of all.filter((each) => !allow.split(', ').includes(each))) {
          const answer = await sendRaw(service.url, { method: other, path, headers: [bearer()] });
          expectProblem(answer, 'method_not_allowed');
          expect(answer.headers.allow).toBe(allow);
          expectEdgeHeaders(answer);
        }
      });
    });

    it('demands the same under another spelling of its path', async () => {
      await unchanged(async () => {
        for (const spelling of [`/${path}`, `${path}/`, path.toUpperCase(), `${path}%2f`, `${path}%00`, `/.${path}`]) {
          const answer = await sendRaw(service.url, { method, path: spelling });
          expect(needsToken || takesBody ? [400, 401, 404, 405] : [200, 400, 404, 405]).toContain(answer.status);
        }
        const answer = await sendRaw(service.url, { method, path: `${path}%zz`, headers: [bearer()] });
        expectProblem(answer, 'malformed_request');
      });
    });

    it('is not disturbed by a query string', async () => {
      const query = `?__proto__[x]=1&access_token=x&a[]=1&a[]=2&%zz=%zz&${'q'.repeat(4_000)}`;
      const content = isBodyOptional === true ? { headers: [JSON_TYPE], body: '{"unknown":1}' } : {};
      await unchanged(async () => {
        const [plain, withQuery] = [
          await sendRaw(service.url, { method, path, ...content }),
          await sendRaw(service.url, { method, path: `${path}${query}`, ...content }),
        ];
        expect(withQuery.status).toBe(plain.status);
        expect(withQuery.status).toBeLessThan(500);
      });
    });

    if (needsToken) {
      it('asks for an access token before it does anything', async () => {
        await unchanged(async () => {
          const content = takesBody ? { headers: [JSON_TYPE], body: '{"unknown":1}' } : {};
          expectProblem(await sendRaw(service.url, { method, path, ...content }), 'access_token_missing');
          const headers = [...(content.headers ?? []), ['authorization', 'Bearer x'] as const];
          expectProblem(await sendRaw(service.url, { method, path, ...content, headers }), 'access_token_invalid');
        });
      });
    }

    if (!takesBody) {
      it('ignores a body or refuses it', async () => {
        await unchanged(async () => {
          for (const [, body] of BAD_BODIES) {
            const answer = await sendRaw(service.url, { method, path, headers: [JSON_TYPE], body });
            expect([200, 302, 400, 401, 413]).toContain(answer.status);
          }
        });
      });
    }
  });

  it('takes null for no body: a logout by access token succeeds, and a body that is needed is missing', async () => {
    const { pair } = await service.client.signUpAndIn();
    const headers = [JSON_TYPE, ['authorization', `Bearer ${pair.access_token}`] as const];
    const [logout, login, nothing] = [
      await sendRaw(service.url, { method: 'POST', path: '/auth/logout', headers, body: 'null' }),
      await sendRaw(service.url, { method: 'POST', path: '/auth/login', headers: [JSON_TYPE], body: 'null' }),
      await sendRaw(service.url, { method: 'POST', path: '/auth/login', body: '' }),
    ];
    expect(logout.status).toBe(204);
    expectProblem(await service.client.me(pair.access_token), 'access_token_revoked');
    const withoutId = (answer: object): object => ({ ...answer, request_id: undefined });
    expect(withoutId(login.body!)).toEqual(withoutId(nothing.body!));
  });

  it('answers 404 for a path without a route, whatever the method and the body', async () => {
    await unchanged(async () => {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        for (const path of ['/auth', '/auth/', '/admin', '/auth/login/x', '/.well-known/', '/auth/verifyx', '/*']) {
          const body = method === 'POST' ? { headers: [JSON_TYPE], body: '{' } : {};
          const answer = await sendRaw(service.url, { method, path, ...body });
          expect(answer.status).toBe(404);
          expectEdgeHeaders(answer);
          if (method !== 'HEAD') {
            expectProblem(answer, 'not_found');
          }
        }
      }
    });
  });

  it('answers session ids of any shape with 404 and the path that cannot be decoded with 400', async () => {
    await unchanged(async () => {
      const ids = [UUID, '0', 'null', '%00', '%F0%9F%92%A9', "'%20or%201=1--", 'x'.repeat(5_000), `%7B${UUID}%7D`];
      for (const id of ids) {
        const answer = await sendRaw(service.url, {
          method: 'DELETE',
          path: `/auth/sessions/${id}`,
          headers: [bearer()],
        });
        expectProblem(answer, 'not_found');
      }
      for (const id of ['%', '%zz', '%c3%28', '%ff']) {
        const answer = await sendRaw(service.url, {
          method: 'DELETE',
          path: `/auth/sessions/${id}`,
          headers: [bearer()],
        });
        expectProblem(answer, 'malformed_request');
      }
    });
  });

  it('carries no-store, nosniff and a request id on every success, and the published parts their own caching', async () => {
    const signedUp = { email: newEmail(), password: newPassword() };
    const post = async (path: string, body: object, accessToken?: string): Promise<RawAnswer> =>
      sendRaw(service.url, {
        method: 'POST',
        path,
        headers: [
          JSON_TYPE,
          ...(accessToken === undefined ? [] : [['authorization', `Bearer ${accessToken}`] as const]),
        ],
        body: JSON.stringify(body),
      });
    const get = async (path: string, accessToken: string): Promise<RawAnswer> =>
      sendRaw(service.url, { path, headers: [['authorization', `Bearer ${accessToken}`]] });

    const registered = await post('/auth/register', signedUp);
    const loggedIn = await post('/auth/login', signedUp);
    const { access_token, refresh_token } = JSON.parse(loggedIn.text) as TokenPair;
    const me = await get('/auth/me', access_token);
    const sessions = await get('/auth/sessions', access_token);
    const refreshed = await post('/auth/refresh', { refresh_token });
    const passwords = { current_password: signedUp.password, new_password: newPassword() };
    const changed = await post('/auth/password', passwords, access_token);
    const next = JSON.parse(changed.text) as TokenPair;
    const loggedOut = await post('/auth/logout', { refresh_token: next.refresh_token });
    const everywhere = await post('/auth/logout-all', {}, next.access_token);
    const ready = await get('/health/ready', '');
    expect(
      [registered, loggedIn, me, sessions, refreshed, changed, loggedOut, everywhere, ready].map(
        ({ status }) => status,
      ),
    ).toEqual([201, 200, 200, 200, 200, 200, 204, 204, 200]);
    for (const answer of [registered, loggedIn, me, sessions, refreshed, changed, loggedOut, everywhere, ready]) {
      expectEdgeHeaders(answer);
    }
    expectEdgeHeaders(await sendRaw(service.url, { path: '/.well-known/jwks.json' }), 'public, max-age=300');
    expectEdgeHeaders(await sendRaw(service.url, { path: '/openapi.json' }), 'no-cache');
  });

  it('answers HEAD like GET, without the body', async () => {
    const head = await sendRaw(service.url, { method: 'HEAD', path: '/auth/me', headers: [bearer()] });
    expect(head.status).toBe(200);
    expect(head.text).toBe('');
    const refused = await sendRaw(service.url, { method: 'HEAD', path: '/auth/me' });
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('Bearer realm="ratchet"');
  });

  describe('Idempotency-Key', () => {
    const SHAPE_ERRORS = [
      { field: 'Idempotency-Key', message: 'must be one header of 22 to 128 visible ASCII characters' },
    ];

    async function refreshWith(refreshToken: string, keys: readonly string[]): Promise<RawAnswer> {
      return sendRaw(service.url, {
        method: 'POST',
        path: '/auth/refresh',
        headers: [JSON_TYPE, ...keys.map((key) => ['idempotency-key', key] as const)],
        body: JSON.stringify({ refresh_token: refreshToken }),
      });
    }

    it('of another shape, or twice, is refused and the token stays good', async () => {
      const { pair } = await service.client.signUpAndIn();
      const key = newIdempotencyKey();
      const bad: (readonly string[])[] = [
        [''],
        [key.slice(0, 21)],
        [key.padEnd(129, 'x')],
        [`${key} ${key}`],
        [`${key}\t${key}`],
        [`${key}é`],
        [key, newIdempotencyKey()],
        [key, key],
      ];
      await unchanged(async () => {
        for (const keys of bad) {
          expectProblem(await refreshWith(pair.refresh_token, keys), 'validation_failed', SHAPE_ERRORS);
        }
      });
      expect((await refreshWith(pair.refresh_token, [key])).status).toBe(200);
    });

    it.each([22, 128])('may have %d characters, whichever visible ASCII ones', async (length) => {
      const { pair } = await service.client.signUpAndIn();
      const key = newIdempotencyKey()
        .slice(0, 16)
        .concat('!"#$%&', "'()*+,-./:;<=>?@[\\]^_`{|}~".repeat(5))
        .slice(0, length);
      const first = await refreshWith(pair.refresh_token, [key]);
      expect(first.status).toBe(200);
      const again = await refreshWith(pair.refresh_token, [key]);
      expect(JSON.parse(again.text)).toMatchObject({
        refresh_token: (JSON.parse(first.text) as TokenPair).refresh_token,
      });
    });
  });
});

describe('X-Forwarded-For', () => {
  const database = useDatabase();
  const direct = useInstance(database);
  const behindProxy = useInstance(database, { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' });

  /** The address under which a login with this header is stored. */
  async function storedAddress(service: TestService, forwardedFor: string): Promise<string | null> {
    const account = await service.client.signUp();
    const response = await service.client.post(
      '/auth/login',
      { email: account.email, password: account.password },
      { 'x-forwarded-for': forwardedFor },
    );
    expect(response.status).toBe(200);
    const [row] = await database.sql<{ address: string | null }>(
      'select host(ip_address) as address from refresh_token_families where user_id = $1',
      [account.id],
    );
    return row!.address;
  }

  it('means nothing unless the peer is a trusted proxy', async () => {
    expect(await storedAddress(direct, '203.0.113.7')).toBe('127.0.0.1');
  });

  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['203.0.113.7, 10.1.2.3', '203.0.113.7'],
    ['10.9.9.9', '10.9.9.9'],
    ['fe80::1%eth0', 'fe80::1'],
    ['203.0.113.7:1234', '203.0.113.7'],
    ['[2001:db8::7]:443', '2001:db8::7'],
  ])('%j from a trusted proxy is %s: the last address that no trusted proxy has', async (header, expected) => {
    expect(await storedAddress(behindProxy, header)).toBe(expected);
  });

  it.each(['unknown', '256.1.1.1', "'; drop table users; --", '1'.repeat(4_000), '%', '203.0.113.0/24'])(
    'with %j in it is the address of the proxy, and the login goes on',
    async (header) => {
      expect(await storedAddress(behindProxy, header)).toBe('127.0.0.1');
    },
  );
});

describe('a logout by an access token', () => {
  const { service } = useService();

  it.each([
    'application/x-www-form-urlencoded',
    'text/plain;charset=UTF-8',
    'application/json; charset=utf8',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
  ])('with an empty body of the type %s ends the session', async (type) => {
    const { pair } = await service.client.signUpAndIn();
    const answer = await sendRaw(service.url, {
      method: 'POST',
      path: '/auth/logout',
      headers: [
        ['authorization', `Bearer ${pair.access_token}`],
        ['content-type', type],
      ],
    });
    expect(answer.status).toBe(204);
    expectProblem(await service.client.get('/auth/me', pair.access_token), 'access_token_revoked');
  });

  it('with a charset that is spelled otherwise ends it as well', async () => {
    const { pair } = await service.client.signUpAndIn();
    const answer = await service.client.post(
      '/auth/logout',
      { refresh_token: pair.refresh_token },
      { 'content-type': 'application/json; charset=utf8' },
    );
    expect(answer.status).toBe(204);
  });
});

describe('an idle connection', () => {
  const database = useDatabase();
  const usual = useInstance(database);
  const short = useInstance(database, { KEEP_ALIVE_SECONDS: '5' });

  it('stays open for more than ten minutes, as long as any usual proxy keeps it, or for KEEP_ALIVE_SECONDS', async () => {
    const answers = await Promise.all([usual, short].map(({ url }) => fetch(`${url}/health/live`)));
    expect(answers.map(({ headers }) => headers.get('keep-alive'))).toEqual(['timeout=620', 'timeout=5']);
  });
});

describe('CORS', () => {
  const ORIGIN = 'https://app.example.com';

  const database = useDatabase();
  const service = useInstance(database, { CORS_ORIGINS: `${ORIGIN},http://localhost:5173` });
  const closed = useInstance(database);

  function preflight(instance: TestService, origin: string): Promise<RawAnswer> {
    return sendRaw(instance.url, {
      method: 'OPTIONS',
      path: '/auth/refresh',
      headers: [
        ['origin', origin],
        ['access-control-request-method', 'POST'],
        ['access-control-request-headers', 'content-type,idempotency-key'],
      ],
    });
  }

  it('lets a listed origin send an Idempotency-Key and read Retry-After, without cookies', async () => {
    const answer = await preflight(service, ORIGIN);
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN });
    expect(answer.headers['access-control-allow-headers']?.toLowerCase()).toContain('idempotency-key');
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();

    const refused = await request(service.url).get('/auth/me').set('origin', ORIGIN);
    expectProblem(refused, 'access_token_missing');
    expect(refused.headers['access-control-allow-origin']).toBe(ORIGIN);
    expect(refused.headers['access-control-expose-headers']).toMatch(/\bRetry-After\b/);
    expect(refused.headers['vary']).toMatch(/\bOrigin\b/i);
  });

  it.each([
    'https://evil.example',
    'http://app.example.com',
    'https://app.example.com.evil.example',
    'https://sub.app.example.com',
    'https://app.example.com:8443',
    'https://APP.example.com',
    'null',
    '*',
  ])('says nothing to %s', async (origin) => {
    const answers = [
      await preflight(service, origin),
      await sendRaw(service.url, { path: '/auth/me', headers: [['origin', origin]] }),
    ];
    for (const answer of answers) {
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
  });

  it('sends no headers unless configured', async () => {
    const answer = await preflight(closed, ORIGIN);
    expectProblem(answer, 'method_not_allowed');
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });
});
