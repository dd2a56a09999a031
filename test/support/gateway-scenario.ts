import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsersService } from '../../src/users/users.service.js';
import { EchoBackend, type ReceivedRequest, valuesOf } from './echo-backend.js';
import {
  BAD_TOKENS,
  EXPIRED_TOKEN,
  HEADER_SPELLINGS,
  type HeaderLines,
  IDENTITY_HEADERS,
  IDENTITY_SPELLINGS,
  MISLEADING_SPELLINGS,
  SPOOFED,
} from './gateway-cases.js';
import { describeCookies } from './gateway-cookies.js';
import { freePort } from './free-port.js';
import {
  AMBIGUOUS_TARGETS,
  HOSTILE_TARGETS,
  isProtected,
  ORDINARY_TARGETS,
  UNREADABLE_TARGETS,
} from './gateway-paths.js';
import type { GatewaySurroundings, RunningGateway } from './gateway-process.js';
import { RawBackend, type RawOutcome } from './raw-backend.js';
import { type RawAnswer, sendRaw } from './raw-request.js';
import { findSecrets } from './secret-scan.mjs';
import { type Account, claimsOf, newIdempotencyKey, sessionIdOf, type TokenPair } from './test-client.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { startService, type TestService } from './test-service.js';
import { TokenForge } from './token-forge.js';

/** Lists what gateways differ in. What is not here is the same for all of them. */
export interface GatewayTraits {
  /** Whether it asks Ratchet about each request. One that does not learns of a logout when the token expires. */
  readonly asksRatchet: boolean;
  /** Whether it tells clients that a token has expired. Else that is an invalid one. */
  readonly tellsExpiry?: false;
  /** Whether it tells backends how the user signed in; one that reads no array does not. */
  readonly tellsMethods?: false;
  /** Whether its recipe has a route that demands a second factor, of late. */
  readonly demandsStepUp?: false;
  /** Bad tokens that it lets through nevertheless. */
  readonly accepts?: readonly string[];
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
      const { sub, sid, jti, exp, acr, amr, auth_time } = claimsOf(token);
      const withValue = Object.entries(identityOf(received)).filter(([, values]) => values.join('') !== '');
      expect(Object.fromEntries(withValue)).toEqual({
        'x-user-id': [sub],
        ...(roles.length > 0 && { 'x-user-roles': [roles.join(',')], 'x-user-scope': [roles.join(' ')] }),
        'x-session-id': [sid],
        'x-token-id': [jti],
        'x-token-expires-at': [String(exp)],
        'x-auth-acr': [acr],
        ...(traits.tellsMethods !== false && { 'x-auth-amr': [(amr as readonly string[]).join(',')] }),
        'x-auth-time': [String(auth_time)],
      });
    }

    /** The one form of whatever a recipe itself answers. */
    function expectProblem(answer: RawAnswer, status: number, code: string): void {
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json\b/);
      expect(answer.body).toEqual({ title: expect.any(String) as string, status, code });
      expect(answer.status).toBe(status);
    }

    function expectUnavailable(answer: RawAnswer): void {
      expectProblem(answer, 503, 'temporarily_unavailable');
      expect(answer.headers).toMatchObject({
        'x-auth-error': 'temporarily_unavailable',
        'retry-after': '1',
        'cache-control': 'no-store',
      });
      expect(answer.headers).not.toHaveProperty('x-backend');
    }

    function expectDenied(answer: RawAnswer, status: 401 | 403, code: string): void {
      expect({ status: answer.status, seen: backend.received }).toEqual({ status, seen: [] });
      expect(answer.headers).not.toHaveProperty('x-backend');
      if (status === 401) {
        expect(answer.headers['www-authenticate']).toMatch(/^Bearer\b/);
      }
      expectProblem(answer, status, code);
      expect(answer.headers).toMatchObject({ 'x-auth-error': code, 'cache-control': 'no-store' });
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
        for (const time of ['first', 'second']) {
          const answer = await send({ path: `/answers-401?${time}`, headers });
          expect(answer).toMatchObject({ status: 401, text: 'GET seen', headers: { 'x-backend': 'orders' } });
          expect(answer.headers).not.toHaveProperty('x-auth-error');
          expect(answer.headers['content-type'] ?? '').not.toMatch(/problem/);
        }
      });

      it('hands on a cookie that answers a CSRF check, and the Idempotency-Key of a payment', async () => {
        const received = await sendThrough({
          method: 'POST',
          path: '/orders/1/payments',
          headers: [
            bearer(user.pair.access_token),
            ['Cookie', 'csrftoken=abc; theme=dark'],
            ['X-CSRFToken', 'abc'],
            ['Idempotency-Key', 'payment-1'],
          ],
          body: '{"cents":100}',
        });
        expect(valuesOf(received, 'cookie')).toEqual(['csrftoken=abc; theme=dark']);
        expect(valuesOf(received, 'x-csrftoken')).toEqual(['abc']);
        expect(valuesOf(received, 'idempotency-key')).toEqual(['payment-1']);
        expectIdentity(received, user.pair.access_token, []);
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
        expectDenied(
          await send({ headers: [bearer(token)] }),
          401,
          traits.tellsExpiry === false ? 'access_token_invalid' : 'access_token_expired',
        );
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
    });

    if (traits.demandsStepUp !== false) {
      describe('demands on how the user signed in', () => {
        const path = '/payouts/1';

        /** What a session that has proved this much, so many seconds ago, gets by its next refresh. */
        async function tokenBy(amr: readonly string[], secondsAgo = 0): Promise<string> {
          const pair = await service.client.signIn(user.account);
          await database.sql(
            `update refresh_token_families set amr = $2, auth_time = clock_timestamp() - make_interval(secs => $3)
             where id = $1`,
            [sessionIdOf(pair), amr, secondsAgo],
          );
          return (await service.client.rotate(pair.refresh_token)).access_token;
        }

        function expectStepUpDemanded(answer: RawAnswer): void {
          expectDenied(answer, 401, 'insufficient_user_authentication');
          const challenge = String(answer.headers['www-authenticate']);
          expect(challenge).toMatch(/^Bearer .*error="insufficient_user_authentication", error_description="[^"]+"/);
          expect(challenge).toMatch(/, acr_values="aal2", max_age=300$/);
        }

        it('let a fresh second factor through, and tell the backend of it', async () => {
          for (const amr of [
            ['pwd', 'otp', 'mfa'],
            ['pop', 'user', 'mfa'],
          ]) {
            const token = await tokenBy(amr, 100);
            expectIdentity(await sendThrough({ path, headers: [bearer(token)] }), token, []);
          }
        });

        it('deny one factor, and one that is too long ago, by a challenge that tells the client what to prove', async () => {
          const [weak, old] = [await tokenBy(['pwd']), await tokenBy(['pwd', 'otp', 'mfa'], 302)];
          for (const token of [weak, old]) {
            for (const each of [path, '/payouts', '/PAYOUTS/1', '/payouts?a=1']) {
              expectStepUpDemanded(await send({ path: each, headers: [bearer(token)] }));
            }
            expectIdentity(await sendThrough({ headers: [bearer(token)] }), token, []);
            backend.received.length = 0;
          }
          expectDenied(await send({ path }), 401, 'access_token_missing');
        });

        it('deny a token that does not tell how its user signed in', async () => {
          const forge = await TokenForge.like(user.pair.access_token, database);
          const token = forge.withClaims({ acr: undefined, amr: undefined, auth_time: undefined });
          expectStepUpDemanded(await send({ path, headers: [bearer(token)] }));
          const received = await sendThrough({ headers: [bearer(token), ['X-Auth-Amr', SPOOFED]] });
          expect(JSON.stringify(received)).not.toContain(SPOOFED);
        });

        it.each([
          [['X-Auth-Acr', 'phr']],
          [['X-Require-Acr', 'aal1']],
          [['X-Require-Max-Age', '999999999']],
          [['x_require_acr', 'aal1']],
          [['Connection', 'X-Require-Acr, X-Require-Max-Age']],
        ] as const)('are not weakened by %j of a client', async (line) => {
          const headers = [bearer(user.pair.access_token), line];
          const { status } = await send({ path, headers });
          expect([400, 401]).toContain(status);
          expect(backend.received).toEqual([]);
        });

        it('of a client make nothing stricter, and do not reach a backend', async () => {
          const headers = [
            bearer(user.pair.access_token),
            ['X-Require-Acr', 'phr'] as const,
            ['X-Require-Max-Age', 'x'] as const,
          ];
          const received = await sendThrough({ headers });
          expect(['x-require-acr', 'x-require-max-age'].flatMap((name) => valuesOf(received, name))).toEqual([]);
        });
      });
    }

    describe('behind which a backend accepts anything', () => {
      let raw: RawBackend;
      let behind: RunningGateway;

      beforeAll(async () => {
        raw = await RawBackend.start();
        behind = await start({ ratchet: new URL(service.url).host, backend: raw.address });
      });

      afterAll(async () => {
        await behind.stop();
        await raw.stop();
      });

      function ask(targets: readonly string[], headers: HeaderLines = []): Promise<RawOutcome[]> {
        return raw.askThrough(
          behind.url,
          targets.map((target) => ({ target, headers })),
        );
      }

      it('no spelling of a protected place brings a user there who lacks the role', async () => {
        const outcomes = await ask(HOSTILE_TARGETS, [bearer(user.pair.access_token)]);
        const reached = outcomes.flatMap(({ target, received }) =>
          received === undefined ? [] : [[target, received.url]],
        );
        expect(reached.filter(([, url = '']) => isProtected(url))).toEqual([]);
      });

      it('no spelling brings a client there who has no token', async () => {
        const outcomes = await ask(HOSTILE_TARGETS);
        const reached = outcomes.flatMap(({ target, received }) =>
          received === undefined ? [] : [[target, received.url]],
        );
        expect(reached).toEqual([]);
      });

      it('a path that programs read in different ways is refused before the token is looked at', async () => {
        for (const outcome of [
          ...(await ask(AMBIGUOUS_TARGETS)),
          ...(await ask(AMBIGUOUS_TARGETS, [bearer(admin.pair.access_token)])),
        ]) {
          expect(outcome).toMatchObject({ status: 400, received: undefined });
          expect(outcome.answer).toMatch(/^content-type: application\/problem\+json\b/im);
          expect(outcome.answer).toContain('"code":"malformed_request"');
        }
      });

      it('a path with an encoded slash or a zero byte is refused, with a good token or without', async () => {
        for (const { target, status, received } of [
          ...(await ask(UNREADABLE_TARGETS)),
          ...(await ask(UNREADABLE_TARGETS, [bearer(admin.pair.access_token)])),
        ]) {
          expect({ target, isRefused: status === 400 || status === 404, received }).toEqual({
            target,
            isRefused: true,
          });
        }
      });

      it('an ordinary path reaches the backend with a token, as the place that it names', async () => {
        for (const { target, status, received } of await ask(ORDINARY_TARGETS, [bearer(user.pair.access_token)])) {
          expect({ target, status, place: placeOf(received?.url) }).toEqual({
            target,
            status: 200,
            place: placeOf(target),
          });
          expectIdentity(received!, user.pair.access_token, []);
        }
        for (const { target, status, received } of await ask(ORDINARY_TARGETS)) {
          expect({ target, status, received }).toEqual({ target, status: 401, received: undefined });
        }
      });

      it('no mix of hyphens, underscores, dots and case carries an identity of the client’s to it', async () => {
        const token = user.pair.access_token;
        const attempts = IDENTITY_SPELLINGS.flatMap((header): HeaderLines[] => [
          [[header, SPOOFED]],
          [
            [header, SPOOFED],
            ['Connection', header],
          ],
        ]);
        const outcomes = await raw.askThrough(
          behind.url,
          attempts.map((headers) => ({ target: '/orders', headers: [bearer(token), ...headers] })),
        );
        for (const { headers, status, received } of outcomes) {
          expect({ headers, status }).toMatchObject({ status: 200 });
          expect({ headers, isSpoofed: JSON.stringify(received).includes(SPOOFED) }).toMatchObject({
            isSpoofed: false,
          });
          expectIdentity(received!, token, []);
        }
      });

      it('no header that misleads frameworks reaches it in any spelling, nor any of many identities', async () => {
        const token = user.pair.access_token;
        const spellings = [...IDENTITY_SPELLINGS, ...MISLEADING_SPELLINGS];
        for (let from = 0; from < spellings.length; from += 40) {
          const names = spellings.slice(from, from + 40);
          const headers = [bearer(token), ...names.map((header) => [header, SPOOFED] as const)];
          const [outcome] = await raw.askThrough(behind.url, [{ target: '/orders', headers }]);
          expect(outcome).toMatchObject({ status: 200 });
          expect(JSON.stringify(outcome?.received)).not.toContain(SPOOFED);
          expectIdentity(outcome!.received!, token, []);
        }
      });

      it('the site’s own well-known documents are open there, without identity and token', async () => {
        const targets = ['/.well-known/acme-challenge/tOkEn_1-x', '/.well-known/security.txt'];
        const lines = IDENTITY_HEADERS.map((header) => [header, SPOOFED] as const);
        for (const headers of [[], [bearer('rubbish'), ...lines]]) {
          for (const { target, status, received } of await ask(targets, headers)) {
            expect({ status, url: received?.url }).toEqual({ status: 200, url: target });
            const names = [...IDENTITY_HEADERS, 'authorization'];
            expect(names.flatMap((header) => valuesOf(received!, header)).join('')).toBe('');
          }
        }
        const others = [
          '/.well-known/',
          '/.well-known/change-password',
          '/.well-known/security.txt/x',
          '/.well-known/acme-challenge',
        ];
        expect((await ask(others)).map(({ status }) => status)).toEqual(others.map(() => 401));
      });
    });

    it('does not say that Ratchet is away when a backend is', async () => {
      const withoutBackend = await start({
        ratchet: new URL(service.url).host,
        backend: `127.0.0.1:${await freePort()}`,
      });
      const { status, headers } = await sendRaw(withoutBackend.url, {
        path: '/orders',
        headers: [bearer(user.pair.access_token)],
      });
      await withoutBackend.stop();
      expect([502, 503]).toContain(status);
      expect(headers).not.toHaveProperty('x-auth-error');
    });

    /** The path, decoded, and the query. */
    function placeOf(url: string | undefined): string | undefined {
      const [path = '', ...query] = url?.split('?') ?? [];
      return url && JSON.stringify([decodeURIComponent(path), ...query]);
    }

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
        const { body } = await send({ path: '/.well-known/jwks.json' });
        const { keys } = body as unknown as { readonly keys: readonly { readonly kid: string }[] };
        expect((await send({ path: `/.well-known/keys/${keys[0]?.kid ?? ''}.pem` })).status).toBe(200);
        expect((await send({ path: '/.well-known/openid-configuration' })).status).toBe(200);
        expect((await send({ path: '/.well-known/oauth-authorization-server' })).status).toBe(200);
        expect((await send({ path: '/auth/me' })).status).toBe(401);
        expect(backend.received).toEqual([]);
      });

      it('get no cookies, which might exceed what Ratchet reads', async () => {
        const asked: IncomingHttpHeaders[] = [];
        const listen = ({ headers }: IncomingMessage): number => asked.push(headers);
        const server = service.app.getHttpServer();
        server.on('request', listen);
        await send({ path: '/auth/me', headers: [bearer(user.pair.access_token), ['Cookie', 'session=secret']] });
        server.off('request', listen);
        expect(asked).toHaveLength(1);
        expect(asked[0]).toHaveProperty('authorization');
        expect(asked[0]?.cookie ?? '').toBe('');
      });

      it('do not include those that are meant for the gateway and the operator', async () => {
        const headers = [bearer(admin.pair.access_token)];
        for (const path of [
          '/auth/verify',
          '/auth/verify/x',
          '/auth/%76erify',
          '/auth/revocations',
          '/auth/revocations?wait=0',
        ]) {
          expectProblem(await send({ path, headers }), 404, 'not_found');
        }
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
        let asked: IncomingHttpHeaders;
        let broken: RunningGateway;
        const stub = createServer((request, response) => {
          asked = request.headers;
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
          expectUnavailable(await ask());
          expect(backend.received).toEqual([]);
        });

        it('asks without cookies and the Idempotency-Key', async () => {
          [status, headers] = [503, {}];
          await ask([
            ['Cookie', 'session=secret'],
            ['Idempotency-Key', 'payment-1'],
          ]);
          expect(asked).toHaveProperty('authorization');
          expect(asked.cookie ?? '').toBe('');
          expect(asked).not.toHaveProperty('idempotency-key');
        });

        it('lets no identity of the client’s through when the answer names none', async () => {
          [status, headers] = [200, {}];
          await ask(IDENTITY_HEADERS.map((header) => [header, SPOOFED]));
          expect(JSON.stringify(backend.received)).not.toContain(SPOOFED);
        });
      });
    }

    describeCookies({ start, traits });

    // The last one: it takes Ratchet down.
    it(traits.asksRatchet ? 'denies everybody without Ratchet' : 'goes on without Ratchet', async () => {
      await service.app.close();
      const answer = await send({ headers: [bearer(user.pair.access_token)] });
      expect(backend.received).toHaveLength(traits.asksRatchet ? 0 : 1);
      if (traits.asksRatchet) {
        expectUnavailable(answer);
        expectUnavailable(await send({}));
      } else {
        expect(answer.status).toBe(200);
        backend.received.length = 0;
        expectDenied(await send({}), 401, 'access_token_missing');
      }
    });
  });
}
