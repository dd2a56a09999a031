import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsersService } from '../../src/users/users.service.js';
import { EchoBackend, type ReceivedRequest, valuesOf } from './echo-backend.js';
import {
  ADMIN_PATHS,
  BAD_TOKENS,
  couldBeAdmin,
  EXPIRED_TOKEN,
  HEADER_SPELLINGS,
  type HeaderLines,
  IDENTITY_HEADERS,
  PATHS,
  SPOOFED,
} from './gateway-cases.js';
import type { GatewaySurroundings, RunningGateway } from './gateway-process.js';
import { type RawAnswer, sendRaw } from './raw-request.js';
import { findSecrets } from './secret-scan.mjs';
import { type Account, claimsOf, newIdempotencyKey, type TokenPair } from './test-client.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { startService, type TestService } from './test-service.js';
import { TokenForge } from './token-forge.js';

/** Lists what gateways differ in. What is not here is the same for all of them. */
export interface GatewayTraits {
  /** Whether it asks Ratchet about each request. One that does not learns of a logout when the token expires. */
  readonly asksRatchet: boolean;
  /** Where a client finds the reason of a denial. */
  readonly reasonIn: 'X-Auth-Error' | 'body' | 'nowhere';
  /** What it does with `.` and `..` in a path, encoded or not. */
  readonly dotSegments: 'resolved' | 'refused';
  /** Its answer while Ratchet cannot be reached. */
  readonly statusWithoutRatchet: number;
  /** Bad tokens that it lets through nevertheless. */
  readonly accepts?: readonly string[];
  /** Paths that it refuses to every client, with this status. */
  readonly refusedPaths?: Readonly<Record<string, number>>;
}

export interface GatewayUnderTest {
  readonly isInstalled: boolean;
  readonly start: (surroundings: GatewaySurroundings) => Promise<RunningGateway>;
  readonly traits: GatewayTraits;
}

interface Attempt {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: HeaderLines;
  readonly body?: string;
}

/**
 * What a gateway promises that stands between clients and backends, shown with the program itself: Ratchet on one side,
 * a backend that trusts the identity headers on the other.
 */
export function describeGateway(name: string, { isInstalled, start, traits }: GatewayUnderTest): void {
  (isInstalled ? describe : describe.skip)(name, () => {
    let database: TestDatabase;
    let service: TestService;
    let backend: EchoBackend;
    let gateway: RunningGateway;
    let admin: { readonly account: Account; readonly pair: TokenPair };
    let user: { readonly account: Account; readonly pair: TokenPair };

    beforeAll(async () => {
      database = await createTestDatabase();
      service = await startService(database);
      backend = await EchoBackend.start();
      gateway = await start({ ratchet: new URL(service.url).host, backend: backend.address });
      const account = await service.client.signUp();
      await service.app.get(UsersService, { strict: false }).setRoles(account.id, ['admin', 'billing:read']);
      admin = { account, pair: await service.client.signIn(account) };
      const { pair, ...plain } = await service.client.signUpAndIn();
      user = { account: plain, pair };
    });

    afterAll(async () => {
      await gateway.stop();
      await backend.stop();
      await service.stop();
      await database.close();
    });

    beforeEach(() => {
      backend.received.length = 0;
    });

    function bearer(token: string): readonly [string, string] {
      return ['Authorization', `Bearer ${token}`];
    }

    function send({ method = 'GET', path = '/orders', headers = [], body }: Attempt): Promise<RawAnswer> {
      return sendRaw(gateway.url, {
        method,
        path,
        headers,
        ...(body !== undefined && { body }),
        hasOwnConnection: true,
      });
    }

    /** The one request that the backend has received of this attempt. */
    async function sendThrough(attempt: Attempt): Promise<ReceivedRequest> {
      backend.received.length = 0;
      const answer = await send(attempt);
      expect(answer).toMatchObject({ status: 200, headers: { 'x-backend': 'orders' } });
      expect(backend.received).toHaveLength(1);
      return backend.received[0]!;
    }

    function identityOf(received: ReceivedRequest): Record<string, string[]> {
      return Object.fromEntries(IDENTITY_HEADERS.map((header) => [header, valuesOf(received, header)]));
    }

    /** A header without a value and no header are the same to a backend. */
    function expectIdentity(received: ReceivedRequest, token: string, roles: readonly string[]): void {
      const { sub, sid, jti, exp } = claimsOf(token);
      const withValue = Object.entries(identityOf(received)).filter(([, values]) => values.join('') !== '');
      expect(Object.fromEntries(withValue)).toEqual({
        'x-user-id': [sub],
        ...(roles.length > 0 && { 'x-user-roles': [roles.join(',')], 'x-user-scope': [roles.join(' ')] }),
        'x-session-id': [sid],
        'x-token-id': [jti],
        'x-token-expires-at': [String(exp)],
      });
    }

    function expectDenied(answer: RawAnswer, status: 401 | 403, code: string): void {
      expect({ status: answer.status, seen: backend.received }).toEqual({ status, seen: [] });
      expect(answer.headers).not.toHaveProperty('x-backend');
      if (status === 401) {
        expect(answer.headers['www-authenticate']).toMatch(/^Bearer\b/);
      }
      if (traits.reasonIn === 'X-Auth-Error') {
        expect(answer.headers['x-auth-error']).toBe(code);
      } else if (traits.reasonIn === 'body') {
        expect(answer.body).toMatchObject({ status, code });
      }
    }

    describe('with a good token', () => {
      it('tells the backend who is asking, in every identity header', async () => {
        const token = admin.pair.access_token;
        expectIdentity(await sendThrough({ headers: [bearer(token)] }), token, ['admin', 'billing:read']);
      });

      it('tells the longest roles that an account can have', async () => {
        const account = await service.client.signUp();
        // As many as older versions accepted; the command for users stops earlier.
        const roles = ['admin', ...Array.from({ length: 31 }, (_, index) => String(index).padStart(64, 'r'))];
        await database.sql('update users set roles = $2 where id = $1', [account.id, roles]);
        const { access_token: token } = await service.client.signIn(account);
        expectIdentity(await sendThrough({ headers: [bearer(token)] }), token, roles);
        expectIdentity(await sendThrough({ path: '/admin/users', headers: [bearer(token)] }), token, roles);
      });

      it('leaves the headers of roles empty or out when there are none', async () => {
        const token = user.pair.access_token;
        expectIdentity(await sendThrough({ headers: [bearer(token)] }), token, []);
      });

      it('tells who is asking now, on connections that others have used', async () => {
        for (const { pair, roles } of [
          { pair: admin.pair, roles: ['admin', 'billing:read'] },
          { pair: user.pair, roles: [] },
          { pair: admin.pair, roles: ['admin', 'billing:read'] },
        ]) {
          expectIdentity(await sendThrough({ headers: [bearer(pair.access_token)] }), pair.access_token, roles);
        }
      });

      it.each([
        ['POST', 'application/json', '{"item":1}'],
        ['POST', 'application/x-www-form-urlencoded', 'a=1&a=2'],
        ['POST', 'application/json', ''],
        ['POST', 'text/xml', '<a/>'],
        ['POST', 'application/json', JSON.stringify('x'.repeat(500_000))],
        ['PUT', 'application/json', '{}'],
        ['PATCH', 'application/merge-patch+json', '{}'],
        ['DELETE', undefined, undefined],
        ['HEAD', undefined, undefined],
        ['OPTIONS', undefined, undefined],
      ])('hands on %s of %s as it came', async (method, type, body) => {
        const headers = [
          bearer(user.pair.access_token),
          ...(type === undefined ? [] : [['Content-Type', type] as const]),
        ];
        const received = await sendThrough({ method, headers, ...(body !== undefined && { body }) });
        expect(received).toMatchObject({ method, body: body ?? '' });
        expect(valuesOf(received, 'content-type')).toEqual(type === undefined ? [] : [type]);
      });

      it('hands on a body of unknown length, and what comes after it on the connection', async () => {
        for (const body of ['first', 'second']) {
          const answer = await fetch(`${gateway.url}/orders`, {
            method: 'POST',
            headers: { authorization: `Bearer ${user.pair.access_token}` },
            body: new Blob([body]).stream(),
            duplex: 'half',
          });
          expect([answer.status, await answer.text()]).toEqual([200, 'POST seen']);
        }
        expect(backend.received.map(({ body }) => body)).toEqual(['first', 'second']);
      });

      it('hands on the query, and the answer, also one that is a 401 of the backend', async () => {
        const headers = [bearer(user.pair.access_token)];
        expect((await sendThrough({ path: '/orders?a=1&b=%2F', headers })).url).toBe('/orders?a=1&b=%2F');
        const answer = await send({ path: '/answers-401', headers });
        expect(answer).toMatchObject({ status: 401, text: 'GET seen', headers: { 'x-backend': 'orders' } });
      });

      it('keeps cookies and the Idempotency-Key from the backend', async () => {
        const headers: HeaderLines = [
          bearer(user.pair.access_token),
          ['Cookie', `refresh_token=${user.pair.refresh_token}`],
          ['Idempotency-Key', newIdempotencyKey()],
        ];
        const received = await sendThrough({ headers });
        expect([...valuesOf(received, 'cookie'), ...valuesOf(received, 'idempotency-key')].join('')).toBe('');
      });
    });

    describe('without a good token', () => {
      it('denies a request without one', async () => {
        expectDenied(await send({}), 401, 'access_token_missing');
      });

      it.each(['POST', 'HEAD', 'OPTIONS', 'PROPFIND', 'DELETE'])('denies %s without one', async (method) => {
        expect((await send({ method })).status).toBe(401);
        expect(backend.received).toEqual([]);
      });

      it('denies an expired token', async () => {
        const token = EXPIRED_TOKEN(await TokenForge.like(admin.pair.access_token, database));
        expectDenied(await send({ headers: [bearer(token)] }), 401, 'access_token_expired');
      });

      it.each(Object.entries(BAD_TOKENS))('denies %s', async (what, forged) => {
        const token = forged(await TokenForge.like(admin.pair.access_token, database));
        const answer = await send({ headers: [bearer(token)] });
        if (traits.accepts?.includes(what) === true) {
          expect(answer.status).toBe(200);
        } else {
          expectDenied(answer, 401, 'access_token_invalid');
        }
      });

      it('denies a token whose claims or signature have been changed', async () => {
        const [head = '', payload = '', signature = ''] = user.pair.access_token.split('.');
        const promoted = Buffer.from(
          JSON.stringify({ ...claimsOf(user.pair.access_token), roles: ['admin'], scope: 'admin' }),
        );
        const swapped = admin.pair.access_token.split('.')[2] ?? '';
        for (const token of [
          `${head}.${promoted.toString('base64url')}.${signature}`,
          `${head}.${payload}.${swapped}`,
          `${head}.${payload}.${'A'.repeat(86)}`,
          `${head}.${payload}.`,
          `${head}.${payload}`,
        ]) {
          expectDenied(await send({ headers: [bearer(token)] }), 401, 'access_token_invalid');
        }
      });

      it('denies a refresh token', async () => {
        expectDenied(await send({ headers: [bearer(user.pair.refresh_token)] }), 401, 'access_token_invalid');
      });

      it('does not look for a token in the query or in a cookie', async () => {
        const token = user.pair.access_token;
        expectDenied(await send({ path: `/orders?access_token=${token}` }), 401, 'access_token_missing');
        expectDenied(await send({ headers: [['Cookie', `access_token=${token}`]] }), 401, 'access_token_missing');
      });

      it('lets no token reach the backend but the one it has checked', async () => {
        const [good, bad] = [bearer(user.pair.access_token), bearer('rubbish')];
        expect([400, 401]).toContain((await send({ headers: [bad, good] })).status);
        expect(backend.received).toEqual([]);
        await send({ headers: [good, bad] });
        expect(backend.received.flatMap((received) => valuesOf(received, 'authorization'))).not.toContain(bad[1]);
      });
    });

    describe('after a logout', () => {
      it(traits.asksRatchet ? 'denies the token at once' : 'lets the token pass until it expires', async () => {
        const pair = await service.client.signIn(user.account);
        await sendThrough({ headers: [bearer(pair.access_token)] });
        expect((await service.client.logout({ refreshToken: pair.refresh_token })).status).toBe(204);
        backend.received.length = 0;
        const answer = await send({ headers: [bearer(pair.access_token)] });
        if (traits.asksRatchet) {
          expectDenied(answer, 401, 'access_token_revoked');
        } else {
          expect(answer.status).toBe(200);
        }
      });
    });

    describe('identity headers of the client', () => {
      it.each(Object.entries(HEADER_SPELLINGS))(
        'do not reach the backend %s, and do not keep the true ones from it',
        async (_what, lines) => {
          for (const { path, pair, roles } of [
            { path: '/orders', pair: user.pair, roles: [] },
            { path: '/admin/users', pair: admin.pair, roles: ['admin', 'billing:read'] },
          ]) {
            // All at once, and each on its own.
            for (const chosen of [IDENTITY_HEADERS, ...IDENTITY_HEADERS.map((header) => [header])]) {
              const received = await sendThrough({
                path,
                headers: [bearer(pair.access_token), ...chosen.flatMap(lines)],
              });
              expectIdentity(received, pair.access_token, roles);
              expect(JSON.stringify(received)).not.toContain(SPOOFED);
            }
          }
        },
      );

      it.each(Object.entries(HEADER_SPELLINGS))('are no credentials %s', async (_what, lines) => {
        expectDenied(await send({ headers: IDENTITY_HEADERS.flatMap(lines) }), 401, 'access_token_missing');
      });
    });

    describe('demands on the roles', () => {
      it('let through who has the role, and nobody else', async () => {
        const path = '/admin/users';
        await sendThrough({ path, headers: [bearer(admin.pair.access_token)] });
        backend.received.length = 0;
        expectDenied(await send({ path, headers: [bearer(user.pair.access_token)] }), 403, 'insufficient_role');
        expectDenied(await send({ path }), 401, 'access_token_missing');
      });

      it.each([
        [['X-Require-Role', 'billing:read']],
        [['X-Require-Role', '']],
        [['x_require_role', 'billing:read']],
        [['Connection', 'X-Require-Role']],
      ] as const)('are not weakened by %j of a client', async (line) => {
        const headers = [bearer(user.pair.access_token), line];
        const { status } = await send({ path: '/admin/users', headers });
        expect([400, 403]).toContain(status);
        expect(backend.received).toEqual([]);
      });

      it.each(ADMIN_PATHS.map((path) => [path]))('hold for %s', async (path) => {
        const answer = await send({ path, headers: [bearer(user.pair.access_token)] });
        // Another place is no harm: then the backend has been told that place and no other.
        expect(backend.received.map(({ url }) => url).filter(couldBeAdmin)).toEqual([]);
        if (answer.headers['x-backend'] === undefined) {
          expect(answer.status).toBeGreaterThanOrEqual(400);
        }
        expect((await send({ path })).headers).not.toHaveProperty('x-backend');
      });
    });

    describe('a path', () => {
      it.each(PATHS.map((path) => [path.slice(0, 60), path]))('decides alike as %s', async (_shown, path) => {
        const denied = await send({ path });
        expect(backend.received).toEqual([]);
        expect(denied.status).toBeGreaterThanOrEqual(400);
        const granted = await send({ path, headers: [bearer(user.pair.access_token)] });
        const refusal = refusalOf(path);
        if (refusal !== undefined) {
          expect([denied.status, granted.status]).toEqual([refusal, refusal]);
        } else {
          expect([denied.status, granted.status]).toEqual([401, 200]);
          expectIdentity(backend.received[0]!, user.pair.access_token, []);
        }
      });

      /** The status for everybody; undefined when the token decides. */
      function refusalOf(path: string): number | undefined {
        const isResolvable = !/\.\.;|%00/.test(path);
        const hasDots = /(?:^|[/\\]|%2f)(?:\.|%2e){1,2}(?:$|[/\\;]|%2f)/i.test(path);
        if (traits.refusedPaths?.[path] !== undefined) {
          return traits.refusedPaths[path];
        }
        return hasDots && (traits.dotSegments === 'refused' || !isResolvable) ? 400 : undefined;
      }
    });

    describe('Ratchet’s own routes', () => {
      it('are open through it, retry keys included', async () => {
        const pair = await service.client.signIn(user.account);
        const headers: HeaderLines = [
          ['Content-Type', 'application/json'],
          ['Idempotency-Key', newIdempotencyKey()],
        ];
        const refresh: Attempt = {
          method: 'POST',
          path: '/auth/refresh',
          headers,
          body: JSON.stringify({ refresh_token: pair.refresh_token }),
        };
        const [first, again] = [await send(refresh), await send(refresh)];
        expect([first.status, again.status]).toEqual([200, 200]);
        expect((again.body as { refresh_token?: string }).refresh_token).toBe(
          (first.body as { refresh_token?: string }).refresh_token,
        );
        expect((await send({ path: '/.well-known/jwks.json' })).status).toBe(200);
        expect((await send({ path: '/auth/me' })).status).toBe(401);
        expect(backend.received).toEqual([]);
      });

      it('do not include those that are meant for the gateway and the operator', async () => {
        const headers = [bearer(admin.pair.access_token)];
        expect((await send({ path: '/auth/verify', headers })).status).toBe(404);
        expect((await send({ path: '/auth/verify/x', headers })).status).toBe(404);
        expect((await send({ path: '/health/ready' })).status).toBe(401);
        expect((await send({ path: '/metrics' })).status).toBe(401);
      });
    });

    it('logs who asked for what, and nothing that authenticates', async () => {
      const marker = `/orders/${claimsOf(user.pair.access_token)['jti'] as string}`;
      const headers: HeaderLines = [
        bearer(user.pair.access_token),
        ['Cookie', `refresh_token=${user.pair.refresh_token}`],
        ['Idempotency-Key', newIdempotencyKey()],
        ['Referer', `https://app.example.com/?access_token=${user.pair.access_token}`],
      ];
      await send({ path: `${marker}?access_token=${user.pair.access_token}`, headers });
      await gateway.stop();
      const log = await gateway.accessLog();
      gateway = await start({ ratchet: new URL(service.url).host, backend: backend.address });
      await sendThrough({ headers: [bearer(user.pair.access_token)] });
      expect(log).toContain(marker);
      expect(findSecrets(log, name)).toEqual([]);
    });

    if (traits.asksRatchet) {
      describe('while Ratchet cannot tell', () => {
        let status: number | 'nothing';
        let headers: Record<string, string>;
        let broken: RunningGateway;
        const stub = createServer((_request, response) => {
          if (status !== 'nothing') {
            response.writeHead(status, headers).end();
          }
        });

        beforeAll(async () => {
          stub.listen(0, '127.0.0.1');
          await once(stub, 'listening');
          const { port } = stub.address() as AddressInfo;
          broken = await start({ ratchet: `127.0.0.1:${port}`, backend: backend.address });
        });

        afterAll(async () => {
          stub.closeAllConnections();
          stub.close();
          await broken.stop();
        });

        const ask = (extra: HeaderLines = []): Promise<RawAnswer> =>
          sendRaw(broken.url, { path: '/orders', headers: [bearer(user.pair.access_token), ...extra] });

        it.each<[number | 'nothing', Record<string, string>]>([
          [503, { 'x-auth-error': 'temporarily_unavailable' }],
          [500, {}],
          [429, {}],
          [404, {}],
          [302, { location: '/orders' }],
          ['nothing', {}],
        ])('denies when the answer is %s', async (answer, withHeaders) => {
          [status, headers] = [answer, withHeaders];
          const { status: told, headers: sent } = await ask();
          expect(told).toBeGreaterThanOrEqual(300);
          expect(sent).not.toHaveProperty('x-backend');
          expect(backend.received).toEqual([]);
        });

        it('lets no identity of the client’s through when the answer names none', async () => {
          [status, headers] = [200, {}];
          await ask(IDENTITY_HEADERS.map((header) => [header, SPOOFED]));
          expect(JSON.stringify(backend.received)).not.toContain(SPOOFED);
        });
      });
    }

    // The last one: it takes Ratchet down.
    it(traits.asksRatchet ? 'denies everybody without Ratchet' : 'goes on without Ratchet', async () => {
      await service.app.close();
      const { status } = await send({ headers: [bearer(user.pair.access_token)] });
      expect(status).toBe(traits.statusWithoutRatchet);
      expect(backend.received).toHaveLength(traits.asksRatchet ? 0 : 1);
      expect((await send({})).status).toBe(traits.asksRatchet ? traits.statusWithoutRatchet : 401);
    });
  });
}
