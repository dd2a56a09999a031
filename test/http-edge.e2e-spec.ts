import { type AddressInfo, connect, type Socket } from 'node:net';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { Body, Controller, Get, Header, HttpCode, Module, Param, Post } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiTags } from '@nestjs/swagger';
import { afterEach, describe, expect, it } from 'vitest';
import { IsOptional, IsString, MaxLength } from 'class-validator';
import { createApp } from '../src/app.setup.js';
import { OverloadedError } from '../src/platform/common/domain.errors.js';
import type { Config } from '../src/platform/config/config.js';
import { ApiProblems } from '../src/platform/http/problems/api-problems.js';
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from '../src/platform/http/http-limits.js';
import { createLogger } from '../src/platform/logging/logger.js';

const REFRESH_TOKEN = `rt1.${'A'.repeat(92)}`;
const JSON_POST = 'POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

class EchoDto {
  @MaxLength(20)
  @IsString()
  readonly text!: string;
}

class OptionalDto {
  @IsOptional()
  @IsString()
  readonly text?: string;
}

@ApiTags('auth')
@Controller()
class EdgeController {
  @Post('auth/echo')
  @HttpCode(200)
  @ApiProblems('refresh_token_invalid', 'refresh_token_reused', 'account_disabled')
  echo(@Body() { text }: EchoDto): object {
    return { text };
  }

  @Post('auth/optional')
  @HttpCode(200)
  optional(@Body() { text }: OptionalDto): object {
    return { text: text ?? null };
  }

  @Get('things/:id')
  thing(@Param('id') id: string): object {
    return { id };
  }

  @Get('keys')
  @Header('Cache-Control', 'public, max-age=300')
  keys(): object {
    return { keys: [] };
  }

  @Get('failure')
  failure(): never {
    throw new Error(`a defect near ${REFRESH_TOKEN}`);
  }

  @Get('overload')
  overload(): never {
    throw new OverloadedError('the queue is full');
  }

  @Get('auth/verify')
  verify(): void {}

  @Get('health/live')
  live(): object {
    return { status: 'ok' };
  }
}

@Module({ controllers: [EdgeController] })
class EdgeModule {}

describe('the HTTP edge', () => {
  const running: NestFastifyApplication[] = [];
  let lines: Record<string, unknown>[] = [];
  let output = '';

  afterEach(async () => {
    await Promise.all(running.splice(0).map((app) => app.close()));
  });

  async function start(
    http: Partial<Config['http']> = {},
    limits: Partial<HttpLimits> = {},
    environment: Config['runtime']['environment'] = 'test',
  ): Promise<number> {
    lines = [];
    output = '';
    const destination = {
      write(line: string): void {
        output += line;
        lines.push(JSON.parse(line) as Record<string, unknown>);
      },
    };
    const config = {
      http: {
        host: '127.0.0.1',
        port: 0,
        trustedProxies: [],
        corsOrigins: [],
        keepAliveSeconds: 620,
        shutdownDelaySeconds: 0,
        hstsMaxAgeSeconds: 31_536_000,
        apiDocs: undefined,
        ...http,
      },
      cookies: { origins: [], accessCookie: false },
      runtime: { environment, logLevel: 'debug' as const },
      accessTokens: {
        issuer: 'https://auth.example.com',
        audience: 'api',
        algorithm: 'ES256' as const,
        ttlSeconds: 300,
      },
      passwords: { minLengthCodePoints: 8, hashCost: 'full' as const },
    };
    const logger = createLogger({ level: 'debug', destination });
    const app = await createApp(EdgeModule, config, logger, { ...DEFAULT_HTTP_LIMITS, ...limits });
    running.push(app);
    await app.listen(config.http.port, config.http.host);
    return (app.getHttpServer().address() as AddressInfo).port;
  }

  async function post(
    port: number,
    body: string | Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(`http://127.0.0.1:${port}/auth/echo`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    });
  }

  describe('bodies', () => {
    it('reads JSON, with the UTF-8 charset spelt out or not', async () => {
      const port = await start();
      for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']) {
        const response = await post(port, '{"text":"ü"}', { 'content-type': type });
        expect(response.status).toBe(200);
        expect(await response.json()).toEqual({ text: 'ü' });
      }
    });

    it.each([
      ['7,000 arrays inside each other', '['.repeat(7000) + ']'.repeat(7000)],
      ['7,000 objects inside each other', '{"a":'.repeat(2700) + '1' + '}'.repeat(2700)],
      ['unclosed arrays', '['.repeat(16_000)],
      ['broken JSON', '{"text":'],
      ['a prototype key', '{"text":"a","__proto__":{"admin":true}}'],
      ['an escaped prototype key', '{"text":"a","\\u005f_proto__":{}}'],
      ['a constructor prototype', '{"text":"a","constructor":{"prototype":{}}}'],
      ['a lone surrogate', '{"text":"\\ud800"}'],
      ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ])('refuses %s as malformed', async (_name, body) => {
      const response = await post(await start(), body);
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({
        type: 'urn:ratchet:problem:malformed_request',
        title: 'Malformed request',
        status: 400,
        detail: 'The request could not be parsed.',
        code: 'malformed_request',
        request_id: expect.stringMatching(UUID),
      });
    });

    it.each([
      ['an array', '[]'],
      ['a string', '"text"'],
      ['a number', '1'],
    ])('refuses %s as a body, even where every member is optional', async (_name, body) => {
      const port = await start();
      const response = await fetch(`http://127.0.0.1:${port}/auth/optional`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({
        type: 'urn:ratchet:problem:validation_failed',
        title: 'Validation failed',
        status: 400,
        detail: 'The request does not have the documented shape.',
        code: 'validation_failed',
        request_id: expect.stringMatching(UUID),
        errors: [{ field: 'body', message: 'must be a JSON object' }],
      });
    });

    it('takes a missing body, and null, for an empty one', async () => {
      const port = await start();
      const optional = await fetch(`http://127.0.0.1:${port}/auth/optional`, { method: 'POST' });
      expect(await optional.json()).toEqual({ text: null });
      const nothing = { method: 'POST', body: 'null', headers: { 'content-type': 'application/json' } };
      expect(await (await fetch(`http://127.0.0.1:${port}/auth/optional`, nothing)).json()).toEqual({ text: null });

      const required = await fetch(`http://127.0.0.1:${port}/auth/echo`, { method: 'POST' });
      expect(required.status).toBe(400);
      expect(await required.json()).toMatchObject({ errors: [{ field: 'text', message: 'must be a string' }] });
    });

    it('names unknown members and wrong types without repeating a value', async () => {
      const response = await post(await start(), JSON.stringify({ text: 7_654_321, admin: 'hunter2' }));
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        code: 'validation_failed',
        request_id: expect.stringMatching(UUID),
        errors: expect.arrayContaining([
          { field: 'admin', message: 'is not a member of this request' },
          { field: 'text', message: 'must be a string' },
        ]),
      });
      expect(output).not.toMatch(/hunter2|7654321/);
    });

    it.each([
      ['text/plain', { 'content-type': 'text/plain' }],
      ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
      ['something that is no media type', { 'content-type': 'json' }],
      ['another charset', { 'content-type': 'application/json; charset=utf-16' }],
      ['a compressed body', { 'content-encoding': 'gzip' }],
    ])('refuses %s as an unsupported media type', async (_name, headers) => {
      const body = 'content-encoding' in headers ? gzipSync('{"text":"a"}') : '{"text":"a"}';
      const response = await post(await start(), body, headers);
      expect(response.status).toBe(415);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(await response.json()).toMatchObject({ code: 'unsupported_media_type' });
    });

    it('refuses a body without a content type', async () => {
      const answer = await exchange(
        await start(),
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{"text":"a"}',
      );
      expect(answer).toMatch(/^HTTP\/1\.1 415 /);
    });

    it('refuses more than 16 KiB, declared or chunked', async () => {
      const port = await start();
      const body = JSON.stringify({ text: 'a'.repeat(17 * 1024) });
      const declared = await post(port, body);
      expect(declared.status).toBe(413);
      expect(await declared.json()).toEqual({
        type: 'urn:ratchet:problem:payload_too_large',
        title: 'Payload too large',
        status: 413,
        detail: 'The body of the request is larger than 16 KiB.',
        code: 'payload_too_large',
        request_id: expect.stringMatching(UUID),
      });

      const chunk = `1000\r\n${'a'.repeat(0x1000)}\r\n`;
      const answer = await exchange(
        port,
        `POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(8)}0\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    });

    it('cuts headers and bodies that trickle in, and serves others meanwhile', async () => {
      const port = await start({}, { headersTimeoutMs: 1_000, requestTimeoutMs: 1_000, timeoutCheckIntervalMs: 20 });
      const head =
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"';
      const startedAtMs = performance.now();
      const slow = [trickle(port, 'GET /keys HTTP/1.1\r\nX-A: '), trickle(port, head)];
      expect((await post(port, '{"text":"a"}')).status).toBe(200);
      expect(await Promise.all(slow)).toEqual(['', '']);
      expect(performance.now() - startedAtMs).toBeLessThan(10_000);
    });

    it('cuts a body that comes too slowly, without an answer and without an error in the log', async () => {
      const port = await start({}, { headersTimeoutMs: 50, requestTimeoutMs: 50, timeoutCheckIntervalMs: 10 });
      const head =
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';
      expect(await exchange(port, head)).toBe('');
      expect(await exchange(port, 'GET / HT')).toBe('');
      expect(output).not.toContain('"level":"error"');
    });
  });

  describe('routing', () => {
    it('answers 404 for an unknown path, whatever its body', async () => {
      const port = await start();
      const response = await fetch(`http://127.0.0.1:${port}/nothing?a=b`, {
        method: 'POST',
        body: '{',
        headers: { 'content-type': 'application/json' },
      });
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({
        type: 'urn:ratchet:problem:not_found',
        title: 'Not found',
        status: 404,
        detail: 'There is nothing at this address.',
        code: 'not_found',
        request_id: expect.stringMatching(UUID),
      });
    });

    it.each(['/auth/echo/', '/AUTH/echo', '//auth/echo', '/auth//echo', '/things/', `/things/${'a'.repeat(200)}`])(
      'knows no other spelling of a path: %s',
      async (path) => {
        const answer = await exchange(await start(), `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        expect(answer).toMatch(/^HTTP\/1\.1 404 /);
      },
    );

    it.each(['DELETE', 'PUT', 'GET', 'HEAD', 'OPTIONS', 'PURGE', 'PROPFIND'])(
      'answers 405 with Allow when a known path is asked with %s',
      async (method) => {
        const answer = await exchange(
          await start(),
          `${method} /auth/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
        );
        expect(answer).toMatch(/^HTTP\/1\.1 405 /);
        expect(answer).toMatch(/^allow: POST\r$/im);
      },
    );

    it('counts HEAD where GET exists, on paths with parameters too', async () => {
      const port = await start();
      const head = await fetch(`http://127.0.0.1:${port}/things/1`, { method: 'HEAD' });
      expect(head.status).toBe(200);
      expect(await head.text()).toBe('');

      const refused = await fetch(`http://127.0.0.1:${port}/things/1`, { method: 'DELETE' });
      expect(refused.status).toBe(405);
      expect(refused.headers.get('allow')).toBe('GET, HEAD');
      expect(await refused.json()).toEqual({
        type: 'urn:ratchet:problem:method_not_allowed',
        title: 'Method not allowed',
        status: 405,
        detail: 'This resource does not support the method; the Allow header lists those that it does.',
        code: 'method_not_allowed',
        request_id: expect.stringMatching(UUID),
      });
    });

    it.each(['/%zz', '/things/%', '/things/%ff', '/nothing/%c0%80'])(
      'refuses the undecodable path %s',
      async (path) => {
        const answer = await exchange(await start(), `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        expect(answer).toMatch(/^HTTP\/1\.1 400 /);
        expect(answer).toMatch(/^content-type: application\/problem\+json\r$/im);
        expect(answer).toMatch(/^x-content-type-options: nosniff\r$/im);
        expect(answer).toContain('"code":"malformed_request"');
      },
    );
  });

  describe('requests that are not quite HTTP', () => {
    it('answers a flood of headers with 431', async () => {
      const answer = await exchange(
        await start(),
        `GET /keys HTTP/1.1\r\nHost: a\r\nX-Flood: ${'a'.repeat(17 * 1024)}\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
      expect(bodyOf(answer)).toEqual({
        type: 'urn:ratchet:problem:headers_too_large',
        title: 'Headers too large',
        status: 431,
        detail: 'The header section of the request is larger than 16 KiB, or has more than 255 headers.',
        code: 'headers_too_large',
        request_id: expect.stringMatching(UUID),
      });
    });

    it('refuses more headers than Node collects, because it cannot know what the dropped ones said', async () => {
      const port = await start({}, { maxHeaderCount: 10 });
      const withHeaders = (count: number): string =>
        `GET /keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${'A:\r\n'.repeat(count - 2)}\r\n`;
      expect(await exchange(port, withHeaders(9))).toMatch(/^HTTP\/1\.1 200 /);
      for (const count of [10, 11, 3_000]) {
        const answer = await exchange(port, withHeaders(count));
        expect(answer).toMatch(/^HTTP\/1\.1 431 /);
        expect(bodyOf(answer)).toMatchObject({ code: 'headers_too_large' });
      }
    });

    it.each([
      ['garbage', 'hello\r\n\r\n'],
      ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['an unknown transfer coding', `${JSON_POST}Transfer-Encoding: nonsense\r\n\r\n`],
      [
        'both lengths',
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
      ['a broken chunk', `${JSON_POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
      ['no Host', 'GET /keys HTTP/1.1\r\nConnection: close\r\n\r\n'],
      ['two Host headers', 'GET /keys HTTP/1.1\r\nHost: a\r\nhost: a\r\nConnection: close\r\n\r\n'],
      ['two Host headers of HTTP/1.0', 'GET /keys HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n'],
      ['two Host headers of a gateway', 'GET /auth/verify HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'],
      ['a request line without a version', 'GET /keys\r\n\r\n'],
      ['a request line without a version and headers', 'GET /auth/verify\r\nHost: a\r\nConnection: close\r\n\r\n'],
      ['HTTP/0.9 by name', 'GET /keys HTTP/0.9\r\n\r\n'],
      ['HTTP/2.0 in a line of HTTP/1', 'GET /keys HTTP/2.0\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ])('answers %s with a 400 problem', async (_name, bytes) => {
      const answer = await exchange(await start(), bytes);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(bodyOf(answer)).toMatchObject({ code: 'malformed_request' });
    });

    it.each([
      ['a question of a gateway', 'POST /auth/verify', '', 200],
      ['a question with chunks', 'POST /auth/verify/orders', 'chunked', 200],
      ['an unknown address', 'POST /nothing', '', 404],
      ['a path that cannot be decoded', 'POST /%zz', '', 400],
      ['a wrong method', 'PUT /auth/echo', '', 405],
      ['a body that is too large', 'POST /auth/echo', '', 413],
    ])('ends the connection with an answer that comes before the body: %s', async (_name, line, coding, status) => {
      const length = coding === '' ? 'Content-Length: 1000000' : `Transfer-Encoding: ${coding}`;
      const head = `${line} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;
      const body = coding === '' ? 'x'.repeat(1_000_000) : `f4240\r\n${'x'.repeat(1_000_000)}\r\n0\r\n\r\n`;
      // What follows the body is not processed, and the whole body is taken: a reset could lose the answer.
      const { answer, error } = await exchangeAfterAnswer(
        await start(),
        head,
        `${body}GET /keys HTTP/1.1\r\nHost: a\r\n\r\n`,
      );
      expect(error).toBeUndefined();
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`]);
      expect(answer).toMatch(/^connection: close\r$/im);
      expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(1);
    });

    it('keeps a connection whose announced body has arrived, or is empty', async () => {
      const port = await start();
      const head =
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n';
      const empty = 'POST /auth/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n';
      const last = 'GET /keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
      const answer = await exchange(port, `${head}{"text":"a"}${empty}${last}`);
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(Array<string>(3).fill('HTTP/1.1 200'));
      expect(answer.match(/^connection: close\r$/gim)).toHaveLength(1);
    });

    it('ignores an expectation it does not know', async () => {
      const answer = await exchange(
        await start(),
        'GET /keys HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nConnection: close\r\n\r\n',
      );
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    });

    it('invites a body that waits for 100 Continue', async () => {
      const answer = await exchange(
        await start(),
        'POST /auth/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{"text":"a"}',
      );
      expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    });
  });

  describe('headers', () => {
    it('puts nosniff, the request id and no-store on every answer, and names no software', async () => {
      const port = await start();
      for (const path of ['/things/1', '/nothing', '/failure', '/%zz']) {
        const { headers } = await fetch(`http://127.0.0.1:${port}${path}`);
        expect(headers.get('x-content-type-options')).toBe('nosniff');
        expect(headers.get('x-request-id')).toMatch(UUID);
        expect(headers.get('strict-transport-security')).toBe('max-age=31536000');
        expect(headers.get('cache-control')).toBe('no-store');
        expect(headers.get('x-powered-by')).toBeNull();
        expect(headers.get('server')).toBeNull();
      }
    });

    it.each([
      ['what the router cannot decode', 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
      ['what is not HTTP', 'hello\r\n\r\n', 400],
      ['a request without Host', 'GET /keys HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
      ['a flood of headers', `GET /keys HTTP/1.1\r\nHost: a\r\nX-Flood: ${'a'.repeat(17 * 1024)}\r\n\r\n`, 431],
    ])(
      'asks for TLS, forbids sniffing and caching, and names no software in the answer to %s',
      async (_, bytes, status) => {
        const answer = await exchange(await start({ hstsMaxAgeSeconds: 86_400 }), bytes);
        expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
        expect(answer).toMatch(/^strict-transport-security: max-age=86400\r$/im);
        expect(answer).toMatch(/^x-content-type-options: nosniff\r$/im);
        expect(answer).toMatch(/^cache-control: no-store\r$/im);
        expect(answer).not.toMatch(/^(server|x-powered-by):/im);
      },
    );

    it('sends no HSTS where that is switched off', async () => {
      const port = await start({ hstsMaxAgeSeconds: 0 });
      const { headers } = await fetch(`http://127.0.0.1:${port}/things/1`);
      expect(headers.get('strict-transport-security')).toBeNull();
      expect(await exchange(port, 'hello\r\n\r\n')).not.toMatch(/strict-transport-security/i);
    });

    it('leaves a route its own cache policy', async () => {
      const { headers } = await fetch(`http://127.0.0.1:${await start()}/keys`);
      expect(headers.get('cache-control')).toBe('public, max-age=300');
    });

    it('keeps an acceptable request id of the caller and replaces any other', async () => {
      const port = await start();
      const idFor = async (id: string): Promise<string | null> => {
        const response = await fetch(`http://127.0.0.1:${port}/keys`, { headers: { 'x-request-id': id } });
        return response.headers.get('x-request-id');
      };
      expect(await idFor('gateway_1.a-B')).toBe('gateway_1.a-B');
      for (const id of ['', 'a b', 'a'.repeat(65), '{"level":"fatal"}', 'a, b']) {
        expect(await idFor(id)).toMatch(UUID);
      }
    });
  });

  describe('failures', () => {
    it('tells a client only the request id of a defect, and the log everything except the secrets', async () => {
      const response = await fetch(`http://127.0.0.1:${await start()}/failure`, {
        headers: { 'x-request-id': 'here' },
      });
      expect(response.status).toBe(500);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(await response.json()).toEqual({
        type: 'urn:ratchet:problem:internal_error',
        title: 'Internal error',
        status: 500,
        detail: 'The service failed to answer; quote the request id when you report it.',
        code: 'internal_error',
        request_id: 'here',
      });
      const errors = lines.filter(({ level }) => level === 'error');
      expect(errors).toEqual([
        expect.objectContaining({
          code: 'internal_error',
          request_id: 'here',
          err: expect.objectContaining({
            type: 'Error',
            message: 'a defect near rt1.[redacted]',
            stack: expect.stringContaining('http-edge'),
          }),
        }),
      ]);
      expect(output).not.toContain(REFRESH_TOKEN);
    });

    it('says when to come back after a 503', async () => {
      const response = await fetch(`http://127.0.0.1:${await start()}/overload`, {
        headers: { 'x-request-id': 'here' },
      });
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('1');
      expect(await response.json()).toEqual({
        type: 'urn:ratchet:problem:overloaded',
        title: 'Overloaded',
        status: 503,
        detail: 'The service has more work than it can queue. Nothing was done; retry later.',
        code: 'overloaded',
        request_id: 'here',
      });
    });
  });

  describe('CORS', () => {
    const ORIGIN = 'https://app.example.com';
    const preflight = { origin: ORIGIN, 'access-control-request-method': 'POST' };

    it('is silent when no origin is configured', async () => {
      const response = await fetch(`http://127.0.0.1:${await start()}/auth/echo`, {
        method: 'OPTIONS',
        headers: preflight,
      });
      expect(response.status).toBe(405);
      expect(corsHeaders(response)).toEqual({});
    });

    it('answers the preflight of a listed origin', async () => {
      const port = await start({ corsOrigins: [ORIGIN] });
      const response = await fetch(`http://127.0.0.1:${port}/auth/echo`, { method: 'OPTIONS', headers: preflight });
      expect(response.status).toBe(204);
      expect(response.headers.get('vary')).toBe('Origin');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(response.headers.get('strict-transport-security')).toBe('max-age=31536000');
      expect(corsHeaders(response)).toEqual({
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
        'access-control-allow-headers': 'Authorization, Content-Type, Idempotency-Key, X-Request-Id, *',
        'access-control-expose-headers': 'Retry-After, WWW-Authenticate, X-Request-Id',
        'access-control-max-age': '600',
      });
    });

    it('lets a listed origin read answers, problems included', async () => {
      const port = await start({ corsOrigins: [ORIGIN] });
      for (const path of ['/keys', '/nothing', '/failure']) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { origin: ORIGIN } });
        expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN);
      }
    });

    it.each(['null', 'https://app.example.com.evil.net', 'http://app.example.com', 'HTTPS://APP.EXAMPLE.COM', '*'])(
      'grants the origin %s nothing',
      async (origin) => {
        const port = await start({ corsOrigins: [ORIGIN, 'null'] });
        const asked = await fetch(`http://127.0.0.1:${port}/auth/echo`, {
          method: 'OPTIONS',
          headers: { ...preflight, origin },
        });
        expect(asked.status).toBe(405);
        expect(corsHeaders(asked)).toEqual({});
        expect(corsHeaders(await fetch(`http://127.0.0.1:${port}/keys`, { headers: { origin } }))).toEqual({});
      },
    );

    it('sends an OPTIONS request that is no preflight to the router', async () => {
      const port = await start({ corsOrigins: [ORIGIN] });
      const known = await fetch(`http://127.0.0.1:${port}/auth/echo`, {
        method: 'OPTIONS',
        headers: { origin: ORIGIN },
      });
      expect(known.status).toBe(405);
      expect(known.headers.get('allow')).toBe('POST');
      const unknown = await fetch(`http://127.0.0.1:${port}/nothing`, { method: 'OPTIONS' });
      expect(unknown.status).toBe(404);
    });
  });

  describe('the log', () => {
    it('has one line per request, without the query string', async () => {
      const port = await start();
      await fetch(`http://127.0.0.1:${port}/things/1?access_token=${REFRESH_TOKEN}`, {
        headers: { 'x-request-id': 'here' },
      });
      expect(lines.filter(({ msg }) => msg === 'request')).toEqual([
        {
          level: 'info',
          time: expect.any(String),
          method: 'GET',
          path: '/things/1',
          request_id: 'here',
          ip: '127.0.0.1',
          status: 200,
          duration_ms: expect.any(Number),
          msg: 'request',
        },
      ]);
    });

    it('logs undecodable paths too, with the code of their problem, and probes and granted verifications at debug', async () => {
      const port = await start();
      for (const path of ['/health/live', '/auth/verify', '/auth/verify/orders', '/%zz']) {
        await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      }
      const requests = lines.filter(({ msg }) => msg === 'request');
      expect(requests.map(({ path, status, code, level }) => [path, status, code, level])).toEqual([
        ['/health/live', 200, undefined, 'debug'],
        ['/auth/verify', 200, undefined, 'debug'],
        ['/auth/verify', 200, undefined, 'debug'],
        ['/%zz', 400, 'malformed_request', 'info'],
      ]);
    });

    it('bounds what it repeats of a request, and redacts a token that the bound cuts', async () => {
      const port = await start({ trustedProxies: ['127.0.0.1'] });
      const token = `eyJ${'a'.repeat(30)}.${'b'.repeat(300)}.${'c'.repeat(80)}`;
      for (const path of ['/-eyJ'.repeat(1_600), `/${'x'.repeat(150)}/${token}`]) {
        await fetch(`http://127.0.0.1:${port}${path}`, {
          headers: { 'x-forwarded-for': 'y'.repeat(4_000), 'user-agent': 'z'.repeat(2_000) },
        });
      }
      expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(2);
      expect(output).not.toMatch(/aaaa|bbbb|[yz]{100}/);
      expect(Math.max(...lines.map((line) => JSON.stringify(line).length))).toBeLessThan(600);
    });

    it('omits the messages of the framework unless asked for them', async () => {
      await start();
      const chatter = lines.filter(({ context }) => context === 'RouterExplorer' || context === 'InstanceLoader');
      expect(new Set(chatter.map(({ level }) => level))).toEqual(new Set(['debug']));
    });
  });

  describe('requests ahead of their answers', () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

    it('are answered in order while they are few, on one connection', async () => {
      const port = await start();
      const batch = [1, 2, 3].map((id) => get(`/things/${id}`)).join('');
      const last = 'GET /things/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
      const answer = await exchange(port, batch + last);
      expect([...answer.matchAll(/{"id":"(\d)"}/g)].map(([, id]) => id)).toEqual(['1', '2', '3', '4']);
    });

    it('end their connection with a 503 beyond four, cause no more work and no line of the log each', async () => {
      const port = await start();
      const answer = await exchange(port, get('/things/1').repeat(500));
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual([...Array<string>(4).fill('HTTP/1.1 200'), 'HTTP/1.1 503']);
      expect(answer).toMatch(/"code":"overloaded"/);
      expect(answer).toMatch(/^retry-after: 1\r$/im);
      expect(answer).toMatch(/^connection: close\r$/im);
      expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(5);
      expect(lines.filter(({ level }) => level !== 'debug' && level !== 'info')).toEqual([]);
      expect(output).not.toContain('aborted');
    });
  });

  describe('client addresses', () => {
    const forwarded = { 'x-forwarded-for': '203.0.113.9, 10.0.0.7' };
    const requestIps = (): unknown[] => lines.filter(({ msg }) => msg === 'request').map(({ ip }) => ip);

    it('ignores X-Forwarded-For from a peer that is not a trusted proxy, and warns once', async () => {
      const port = await start({ trustedProxies: ['10.0.0.0/8'] });
      await fetch(`http://127.0.0.1:${port}/keys`, { headers: forwarded });
      await fetch(`http://127.0.0.1:${port}/keys`, { headers: forwarded });
      expect(requestIps()).toEqual(['127.0.0.1', '127.0.0.1']);
      expect(lines.filter(({ level }) => level === 'warn')).toEqual([
        expect.objectContaining({ peer: '127.0.0.1', msg: expect.stringContaining('X-Forwarded-For') }),
      ]);
    });

    it('believes trusted proxies hop by hop', async () => {
      const port = await start({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
      await fetch(`http://127.0.0.1:${port}/keys`, { headers: forwarded });
      expect(requestIps()).toEqual(['203.0.113.9']);
      expect(lines.filter(({ level }) => level === 'warn')).toEqual([]);
    });
  });

  describe('the documentation', () => {
    it('is an OpenAPI 3.1 document in which every listed problem has its example', async () => {
      const response = await fetch(`http://127.0.0.1:${await start()}/openapi.json`);
      expect(response.headers.get('cache-control')).toBe('no-cache');
      const document = (await response.json()) as Record<string, unknown>;
      expect(document).toMatchObject({
        openapi: '3.1.0',
        components: { securitySchemes: { 'access-token': { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
        paths: {
          '/auth/echo': {
            post: {
              responses: {
                401: {
                  content: {
                    'application/problem+json': {
                      schema: { $ref: '#/components/schemas/ProblemDto' },
                      examples: {
                        refresh_token_invalid: {
                          summary: 'Refresh token invalid',
                          value: {
                            type: 'urn:ratchet:problem:refresh_token_invalid',
                            title: 'Refresh token invalid',
                            status: 401,
                            detail: 'The refresh token is not one that this service issued.',
                            code: 'refresh_token_invalid',
                            request_id: expect.stringMatching(UUID),
                          },
                        },
                        refresh_token_reused: { summary: 'Refresh token reused' },
                      },
                    },
                  },
                },
                403: { content: { 'application/problem+json': { examples: { account_disabled: {} } } } },
              },
            },
          },
        },
      });
    });

    it('serves Swagger UI from local files only', async () => {
      const port = await start();
      const html = await (await fetch(`http://127.0.0.1:${port}/docs`)).text();
      const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
      expect(assets).not.toEqual([]);
      for (const asset of assets) {
        const response = await fetch(new URL(asset, `http://127.0.0.1:${port}/docs`));
        expect({ asset, status: response.status }).toEqual({ asset, status: 200 });
        expect(new URL(response.url).hostname).toBe('127.0.0.1');
        await response.arrayBuffer();
      }
    });

    it('signs the page in with the access token of every answer that has one, and with nothing else', async () => {
      const html = await (await fetch(`http://127.0.0.1:${await start()}/docs`)).text();
      const [, script = ''] = /<script type="module">(.*)<\/script>/s.exec(html) ?? [];
      const authorizations: unknown[][] = [];
      let passOn = (answer: object): unknown => answer;
      await runInNewContext(`(async () => {${script}})()`, {
        URL,
        location: 'https://auth.example.com/docs',
        fetch: () => ({ json: () => ({ components: { securitySchemes: { 'access-token': {} } } }) }),
        SwaggerUIBundle: ({ responseInterceptor }: { readonly responseInterceptor: typeof passOn }) => {
          passOn = responseInterceptor;
          return { preauthorizeApiKey: (...args: unknown[]) => authorizations.push(args) };
        },
      });
      const signedIn = { ok: true, obj: { access_token: 'a.b.c' } };
      const answers = [signedIn, { ok: true, obj: {} }, { ok: true }, { ok: false, obj: { access_token: 'd.e.f' } }];
      expect(answers.map((answer) => passOn(answer))).toEqual(answers);
      expect(authorizations).toEqual([['access-token', 'a.b.c']]);
    });

    it('may not be framed, and the page keeps no token in the browser', async () => {
      const port = await start();
      for (const path of ['/docs', '/docs/', '/openapi.json']) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`);
        expect(response.headers.get('content-security-policy')).toBe("frame-ancestors 'none'");
        expect(await response.text()).not.toContain('persistAuthorization');
      }
    });

    it.each([
      ['test', undefined, 200],
      ['development', undefined, 200],
      ['production', undefined, 404],
      ['production', true, 200],
      ['development', false, 404],
    ] as const)('in %s with API_DOCS %s is answered with %i', async (environment, apiDocs, status) => {
      const port = await start({ apiDocs }, {}, environment);
      for (const path of ['/docs', '/docs/', '/docs/swagger-ui.css', '/openapi.json']) {
        const response = await fetch(`http://127.0.0.1:${port}${path}`);
        await response.arrayBuffer();
        expect({ path, status: response.status }).toEqual({ path, status });
      }
    });
  });
});

/** Sends bytes on a fresh connection and returns everything that comes back until the server closes it. */
async function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(answer);
    });
  });
}

/** Sends the head of a request, and what follows once the answer has begun; returns everything that comes back. */
async function exchangeAfterAnswer(
  port: number,
  head: string,
  rest: string,
): Promise<{ readonly answer: string; readonly error: Error | undefined }> {
  return new Promise((resolve) => {
    let answer = '';
    let error: Error | undefined;
    // Half open: the server's end of the stream must not end ours.
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(head));
    socket.setEncoding('utf8');
    socket.once('data', () => socket.end(rest));
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('error', (caught: Error) => (error = caught));
    socket.on('close', () => {
      resolve({ answer, error });
    });
  });
}

/** Sends a beginning and then a byte every few milliseconds, and returns what comes back until the server cuts it. */
async function trickle(port: number, beginning: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    let timer: NodeJS.Timeout | undefined;
    const socket: Socket = connect(port, '127.0.0.1', () => {
      socket.write(beginning);
      timer = setInterval(() => socket.write('a'), 5);
    });
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}

function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

function corsHeaders(response: Response): Record<string, string> {
  return Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('access-control-')));
}
