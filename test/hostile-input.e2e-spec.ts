import { beforeAll, describe, expect, it } from 'vitest';
import type { FieldError } from '../src/platform/common/domain.errors.js';
import { expectProblem } from './support/problem.js';
import { exchange } from './support/raw-exchange.js';
import { type RawAnswer, sendRaw } from './support/raw-request.js';
import { type Account, newEmail, newPassword, type TokenPair } from './support/test-client.js';
import { useService } from './support/use-service.js';

const JSON_TYPE = ['content-type', 'application/json'] as const;

const TOO_MANY_BYTES: FieldError = { field: 'password', message: 'must be at most 1024 bytes long in UTF-8' };
const INVALID_EMAIL: FieldError = { field: 'email', message: 'must be an e-mail address' };

type Header = readonly [name: string, value: string];

/** Text that JSON can carry and no client of ours would send. */
const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\r\nSet-Cookie: a=b',
  '\u001b[2J',
  '\u202etxt.exe',
  '\ufeff',
  '\ufffd',
  '\ufe0f'.repeat(2_000),
  'a\u0301'.repeat(1_500),
  '😀'.repeat(2_000),
  '%00',
  '${jndi:ldap://127.0.0.1/x}',
  '{{7*7}}',
  '$(id)',
  '../../etc/passwd',
  "' or 1=1; drop table users; --",
  '\\',
  '__proto__',
  'constructor',
  'null',
  '-1',
  '1e999',
  'x'.repeat(16_000),
];

describe('hostile input', () => {
  const { database, service } = useService();
  let account: Account & { readonly pair: TokenPair };

  beforeAll(async () => {
    account = await service.client.signUpAndIn();
  });

  function bearer(): Header {
    return ['authorization', `Bearer ${account.pair.access_token}`];
  }

  async function countUsers(): Promise<number> {
    const [row] = await database.sql<{ count: number }>('select count(*)::integer as count from users');
    return row!.count;
  }

  describe('in a member of a body', () => {
    it('as an e-mail makes no account, and none of it is a 5xx', async () => {
      const before = await countUsers();
      for (const email of HOSTILE_TEXTS) {
        const password = newPassword();
        const registered = await service.client.register({ email, password });
        expectProblem(registered, 'validation_failed', [INVALID_EMAIL]);
        expectProblem(await service.client.login({ email, password }), 'invalid_credentials');
      }
      expect(await countUsers()).toBe(before);
    });

    it('as a password is either a wrong one or refused before it is hashed, and none of it is a 5xx', async () => {
      for (const password of HOSTILE_TEXTS) {
        const answer = await service.client.login({ email: account.email, password });
        if (Buffer.byteLength(password) > 1_024) {
          expectProblem(answer, 'validation_failed', [TOO_MANY_BYTES]);
        } else {
          expectProblem(answer, 'invalid_credentials');
        }
      }
    });

    it('as a refresh token is an invalid one', async () => {
      for (const refreshToken of HOSTILE_TEXTS) {
        expectProblem(await service.client.refresh(refreshToken), 'refresh_token_invalid');
        expectProblem(await service.client.logout({ refreshToken }), 'refresh_token_invalid');
      }
    });

    it('as a name or a path parameter is refused, and none of it is a 5xx', async () => {
      for (const text of HOSTILE_TEXTS.filter((each) => encodeURIComponent(each).length < 10_000)) {
        const body = JSON.stringify({ email: newEmail(), password: newPassword(), [text]: 1 });
        const answer = await sendRaw(service.url, { method: 'POST', path: '/auth/login', headers: [JSON_TYPE], body });
        expect(answer.status).toBe(400);
        const path = `/auth/sessions/${encodeURIComponent(text)}`;
        expectProblem(await sendRaw(service.url, { method: 'DELETE', path, headers: [bearer()] }), 'not_found');
      }
    });

    it.each([
      ['\\ud800', 'a lone high surrogate'],
      ['\\udc00', 'a lone low surrogate'],
      ['\\udc00\\ud800', 'two surrogates the wrong way round'],
    ])('%s is malformed in every one: %s', async (escape) => {
      for (const [path, member] of [
        ['/auth/login', 'email'],
        ['/auth/login', 'password'],
        ['/auth/refresh', 'refresh_token'],
        ['/auth/logout', 'refresh_token'],
      ] as const) {
        const body = `{"email":"ada@example.com","password":"pw-secret-1234","${member}":"x${escape}y"}`;
        const answer = await sendRaw(service.url, { method: 'POST', path, headers: [JSON_TYPE], body });
        expectProblem(answer, 'malformed_request');
      }
    });

    // CVE-2025-12758: class-validator counts a text without the selectors, so that its limits let any length through.
    it('counts variation selectors like any other character', async () => {
      const selectors = (count: number): string => newPassword() + '\ufe0f'.repeat(count);
      const { length: own } = newPassword();
      const expectRefused = async (password: string, error: FieldError): Promise<void> => {
        const answer = await service.client.register({ email: newEmail(), password });
        expectProblem(answer, 'validation_failed', [error]);
      };
      expect((await service.client.register({ email: newEmail(), password: selectors(128 - own) })).status).toBe(201);
      await expectRefused(selectors(129 - own), { field: 'password', message: 'must be at most 128 characters long' });
      await expectRefused(selectors(342), TOO_MANY_BYTES);
      expectProblem(
        await service.client.register({ email: `a${'\ufe0f'.repeat(300)}@example.com`, password: newPassword() }),
        'validation_failed',
        [INVALID_EMAIL],
      );
    });
  });

  // CVE-2025-32442, CVE-2026-25223, CVE-2026-33806: a content type that the parser takes and the validation does not.
  it.each([
    'application/json ',
    'application/json;',
    'application/json ;',
    'application/json\t;charset=utf-8',
    'application/json\ta',
    'application/json a',
    ' application/json',
    'APPLICATION/JSON',
    'application/json, text/plain',
    'application/json;charset=utf-8;charset=utf-16',
    'application/json; charset="utf-8',
    'text/plain; application/json',
    'application/vnd.api+json',
    'application/x-json',
    'application/json/x',
    'application',
    '/',
    ';',
    '*/*',
  ])('a content type of %j gets no body past the validation', async (contentType) => {
    const body = '{"email":{"$ne":""},"password":["x"],"admin":true}';
    const answer = await sendRaw(service.url, {
      method: 'POST',
      path: '/auth/login',
      headers: [['content-type', contentType]],
      body,
    });
    expect([['validation_failed'], ['unsupported_media_type']]).toContainEqual([answer.body?.code]);
  });

  describe('around the path of a guarded route', () => {
    const METHODS = [
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'PROPFIND',
      'QUERY',
      'SEARCH',
    ];

    /** Some of them name the route itself, some name nothing; none names it without its guard. */
    const SPELLINGS: readonly string[] = [
      '/auth/me',
      '/auth/%6de',
      '/%61uth/me',
      '/auth/%6D%65',
      '/auth%2fme',
      '/auth%2Fme',
      '/auth/%256de',
      '/auth/me/',
      '/auth//me',
      '//auth/me',
      '/auth/./me',
      '/auth/%2e/me',
      '/x/../auth/me',
      '/health/live/../../auth/me',
      '/.well-known/jwks.json/%2e%2e/%2e%2e/auth/me',
      '/docs/../auth/me',
      '/docs/%2e%2e/auth/me',
      '/docs/..%2fauth/me',
      '/docs/..%5cauth/me',
      '/AUTH/ME',
      '/auth/me;x',
      '/auth/me;/health/live',
      '/auth;x/me',
      '/auth/me%00',
      '/auth/me%20',
      '/auth/me%09',
      '/auth/me.json',
      '/auth/me%23',
      '/auth/me%3f',
      '/auth\\me',
      '/auth/me?x=/health/live',
      '/auth/me#/health/live',
      'http://localhost/auth/me',
      '/auth/sessions',
      '/auth/sessions/',
      '/auth/sess%69ons',
    ];

    it('no spelling of it and no method is answered without a token', async () => {
      for (const path of SPELLINGS) {
        for (const method of METHODS) {
          const { status } = await ask(method, path);
          expect({ path, method, isRefused: [400, 401, 404, 405].includes(status) }).toEqual({
            path,
            method,
            isRefused: true,
          });
        }
      }
    });

    it('a method or a path in a header counts for nothing', async () => {
      for (const [name, value] of [
        ['x-http-method-override', 'OPTIONS'],
        ['x-method-override', 'HEAD'],
        ['x-original-url', '/health/live'],
        ['x-rewrite-url', '/health/live'],
        ['x-forwarded-uri', '/health/live'],
        ['x-forwarded-method', 'OPTIONS'],
        ['x-forwarded-prefix', '/health'],
        ['x-forwarded-user', 'admin'],
        ['x-user-id', 'admin'],
      ] as const) {
        expectProblem(await ask('GET', '/auth/me', [[name, value]]), 'access_token_missing');
      }
    });

    it('HEAD is decided like GET: with a token it passes, without one it does not', async () => {
      expect((await ask('HEAD', '/auth/me', [bearer()])).status).toBe(200);
      const refused = await ask('HEAD', '/auth/me');
      expect(refused.status).toBe(401);
      expect(refused.text).toBe('');
      expect((await ask('HEAD', '/auth/me', [['authorization', 'Bearer x']])).status).toBe(401);
    });

    function ask(method: string, path: string, headers: readonly Header[] = []): Promise<RawAnswer> {
      return sendRaw(service.url, { method, path, headers });
    }
  });

  // CVE-2026-15074, CVE-2026-7120: the static files of the API page are the only files there are.
  it('no path below /docs leaves the folder of the API page', async () => {
    for (const path of [
      '/docs/../package.json',
      '/docs/../../package.json',
      '/docs/%2e%2e/package.json',
      '/docs/%2e%2e%2fpackage.json',
      '/docs/..%2f..%2f..%2fpackage.json',
      '/docs/..%5c..%5cpackage.json',
      '/docs/..%252f..%252fpackage.json',
      '/docs//etc/passwd',
      '/docs/%2fetc/passwd',
      '/docs/./../../../.env',
      '/docs/.env',
      '/docs/swagger-ui.css/../../../package.json',
      `/docs/${'../'.repeat(40)}etc/passwd`,
      `/docs/${'%2e%2e/'.repeat(40)}etc/passwd`,
      '/docs/swagger-ui.css%00.html',
    ]) {
      const { status, text } = await sendRaw(service.url, { path });
      expect({ path, isRefused: [400, 403, 404].includes(status) }).toEqual({ path, isRefused: true });
      expect(text).not.toMatch(/root:|"dependencies"/);
    }
  });

  describe('a flood', () => {
    it.each([
      ['of many headers', 'X-A: b\r\n'.repeat(10_000)],
      ['of headers without content', 'a:\r\n'.repeat(10_000)],
      ['of many cookies', `Cookie: ${'a=b; '.repeat(10_000)}\r\n`],
      ['of many Cookie headers', 'Cookie: a=b\r\n'.repeat(10_000)],
      ['in one header', `X-A: ${'b'.repeat(64 * 1024)}\r\n`],
      ['in the name of a header', `${'a'.repeat(64 * 1024)}: b\r\n`],
    ])('%s is answered with 431 and cut', async (_kind, headers) => {
      const answer = await exchange(
        service.url,
        `GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 431 /);
      expect(answer).toContain('"code":"headers_too_large"');
    });

    it('in the request line is answered with 431 and cut', async () => {
      const answer = await exchange(service.url, `GET /auth/me?${'a'.repeat(64 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    });

    it('of small headers hides none of them: a second Authorization header behind the others is seen', async () => {
      const [, authorization] = bearer();
      const ask = (fillers: number, ...more: readonly string[]): Promise<string> => {
        const headers = ['Host: a', 'Connection: close', `Authorization: ${authorization}`, ...more];
        headers.splice(3, 0, ...Array.from({ length: fillers }, () => 'a:'));
        return exchange(service.url, `GET /auth/me HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
      };
      expect(await ask(250)).toMatch(/^HTTP\/1\.1 200 /);
      expect(await ask(250, 'Authorization: Bearer x')).toMatch(/^HTTP\/1\.1 401 /);
      for (const fillers of [253, 255, 1_000, 2_000, 4_000]) {
        expect(await ask(fillers, 'Authorization: Bearer x')).toMatch(/^HTTP\/1\.1 431 /);
      }
    });

    it('of wrong requests leaves the service answering', async () => {
      const bodies = Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? '['.repeat(16_000) : '{"email":'));
      const answers = await Promise.all(
        bodies.map((body) => sendRaw(service.url, { method: 'POST', path: '/auth/login', headers: [JSON_TYPE], body })),
      );
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400]));
      expect((await service.client.me(account.pair.access_token)).status).toBe(200);
    });
  });

  describe('bytes that two parsers could take for different requests', () => {
    const smuggled = 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const post = (headers: string, body: string): string =>
      `POST /auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}\r\n${body}`;

    it.each([
      ['two lengths', post('Content-Length: 2\r\nContent-Length: 40\r\n', `{}${smuggled}`)],
      ['a list of lengths', post('Content-Length: 2, 40\r\n', `{}${smuggled}`)],
      ['a length with a sign', post('Content-Length: +2\r\n', `{}${smuggled}`)],
      ['a negative length', post('Content-Length: -2\r\n', `{}${smuggled}`)],
      ['a length in hexadecimal', post('Content-Length: 0x2\r\n', `{}${smuggled}`)],
      ['a length and chunks', post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled}`)],
      ['a coding behind chunked', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${smuggled}`)],
      ['chunked twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n', `0\r\n\r\n${smuggled}`)],
      ['a space before a colon', post('Content-Length : 2\r\n', `{}${smuggled}`)],
      ['a space in the name of a header', post('Content Length: 2\r\n', `{}${smuggled}`)],
      ['a NUL in a header', post('X-A: b\u0000c\r\nContent-Length: 2\r\n', `{}${smuggled}`)],
      ['a bare carriage return', post('X-A: b\rContent-Length: 2\r\n', `{}${smuggled}`)],
      ['a chunk of a size that is no number', post('Transfer-Encoding: chunked\r\n', `zz\r\n{}\r\n${smuggled}`)],
      [
        'a chunk of a size beyond all numbers',
        post('Transfer-Encoding: chunked\r\n', `${'f'.repeat(32)}\r\n${smuggled}`),
      ],
      ['a request line of four words', `GET /health/live x HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
      ['an unknown version', `GET /health/live HTTP/9.9\r\nHost: a\r\n\r\n${smuggled}`],
    ])('are refused with 400, and nothing behind them is answered: %s', async (_kind, bytes) => {
      const answer = await exchange(service.url, bytes);
      expect(answer.match(/^HTTP\/1\.1 \d{3}/gm)).toEqual(['HTTP/1.1 400']);
    });
  });

  it('no hostile input caused a 5xx, and the good token still works', async () => {
    expect((await service.client.me(account.pair.access_token)).status).toBe(200);
    expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  });
});
