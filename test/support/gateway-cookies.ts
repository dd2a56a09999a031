import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BROWSER_ROWS, PAGES } from './browser-table.js';
import { CookieJar } from './cookie-jar.js';
import { EchoBackend, valuesOf } from './echo-backend.js';
import type { HeaderLines } from './gateway-cases.js';
import type { GatewayUnderTest } from './gateway-scenario.js';
import type { RunningGateway } from './gateway-process.js';
import { type RawAnswer, sendRaw } from './raw-request.js';
import { newIdempotencyKey } from './test-client.js';
import { useService } from './use-service.js';

const ACCESS = '__Host-Http-ratchet-access=aaaaaaaaaaaa.bbb-_.ccc';
const REFRESH = '__Host-Http-ratchet-refresh=r1.dddddddddddd';

/** What a client may send as `Cookie`, and what of it is the backend's. */
const JARS: readonly (readonly [cookie: string, ofBackend: string])[] = [
  ['theme=dark', 'theme=dark'],
  [ACCESS, ''],
  [`${REFRESH}; ${ACCESS}`, ''],
  [`theme=dark; ${ACCESS}; lang=en; ${REFRESH}; csrftoken=a=b`, 'theme=dark; lang=en; csrftoken=a=b'],
  [`${ACCESS}; theme=dark; ${REFRESH}`, 'theme=dark'],
  [`${REFRESH};${ACCESS};theme=dark`, 'theme=dark'],
  [`theme=dark;${REFRESH}`, 'theme=dark'],
  ['ratchet-access=aaaaaaaaaaaa.bbb.ccc; theme=dark; ratchet-refresh=r1.dddddddddddd', 'theme=dark'],
  ['my-ratchet-theme=dark; __Host-ratchet=1', 'my-ratchet-theme=dark; __Host-ratchet=1'],
  [`theme="a, b"; ${ACCESS}`, 'theme="a, b"'],
  [`x=${'y'.repeat(40)}; ${REFRESH}; z=1`, `x=${'y'.repeat(40)}; z=1`],
];

/** What a gateway promises to applications in browsers, whose tokens travel in cookies. */
export function describeCookies({ start, traits }: Pick<GatewayUnderTest, 'start' | 'traits'>): void {
  describe('for browsers', () => {
    const { service } = useService();
    const asked: IncomingHttpHeaders[] = [];
    let backend: EchoBackend;
    let gateway: RunningGateway;
    let token: string;

    beforeAll(async () => {
      backend = await EchoBackend.start();
      service.app.getHttpServer().on('request', ({ headers }: IncomingMessage) => asked.push(headers));
      gateway = await start({ ratchet: new URL(service.url).host, backend: backend.address });
      token = (await service.client.signUpAndIn()).pair.access_token;
    });

    afterAll(async () => {
      await gateway.stop();
      await backend.stop();
    });

    beforeEach(() => {
      backend.received.length = 0;
      asked.length = 0;
    });

    function send(path: string, headers: HeaderLines, method = 'GET'): Promise<RawAnswer> {
      return sendRaw(gateway.url, { path, method, headers, hasOwnConnection: true });
    }

    it.each(JARS)('hands the cookies %j to a backend without those of Ratchet', async (cookie, ofBackend) => {
      await send('/orders', [
        ['Authorization', `Bearer ${token}`],
        ['Cookie', cookie],
      ]);
      expect(backend.received.map((request) => valuesOf(request, 'cookie').join(' and '))).toEqual([ofBackend]);
    });

    it('hands no cookie of Ratchet’s to a backend in however many they are', async () => {
      for (const cookie of [
        `ratchet-access=1; ratchet-refresh=2; ${ACCESS}; ${REFRESH}`,
        `${'ratchet-access=1; '.repeat(50)}theme=dark; ${ACCESS}; ${REFRESH}`,
        `;;; ${ACCESS} ; ${REFRESH} ;`,
      ]) {
        backend.received.length = 0;
        await send('/orders', [
          ['Authorization', `Bearer ${token}`],
          ['Cookie', cookie],
        ]);
        expect(JSON.stringify(backend.received)).not.toMatch(/aaaaaaaaaaaa|dddddddddddd/);
      }
    });

    it('hands Ratchet its own cookies with its own routes, and no other', async () => {
      for (const [cookie, passed] of [
        [`theme=dark; ${REFRESH}; lang=en`, [REFRESH]],
        [`${ACCESS}; ${'x'.repeat(3_500)}=1; ${REFRESH}; lang=en`, [ACCESS, REFRESH]],
        [`lang=en; ratchet-access=a.b.c`, ['ratchet-access=a.b.c']],
        ['theme=dark', []],
      ] as const) {
        asked.length = 0;
        await send('/auth/me', [['Cookie', cookie]]);
        expect(asked.map(({ cookie: received = '' }) => received.split(/; */).filter(Boolean).sort())).toEqual([
          [...passed],
        ]);
      }
    });

    it('hands on to Ratchet’s own routes where a browser says that a request comes from', async () => {
      await send('/auth/me', FROM_A_PAGE);
      expect(asked).toMatchObject([
        Object.fromEntries(FROM_A_PAGE.map(([name, value]) => [name.toLowerCase(), value])),
      ]);
    });

    if (traits.asksRatchet) {
      it.each(['GET', 'POST', 'DELETE'])(
        'asks about %s with the access cookie and what the browser says',
        async (method) => {
          await send('/orders', [['Cookie', `theme=dark; ${REFRESH}; ${ACCESS}; lang=en`], ...FROM_A_PAGE], method);
          expect(asked).toHaveLength(1);
          const [question = {}] = asked;
          expect(question).toMatchObject({ cookie: ACCESS, ...headersOf(FROM_A_PAGE) });
          expect([question['x-forwarded-method'], question['x-original-method']].filter(Boolean)).toEqual([method]);
          expect(backend.received).toEqual([]);
        },
      );

      it('asks without what a client or a browser has not said', async () => {
        await send(
          '/orders',
          [
            ['X-Original-Method', 'GET'],
            ['X-Forwarded-Method', 'GET'],
            ['Cookie', `theme=dark; ${REFRESH}`],
          ],
          'POST',
        );
        const [question = {}] = asked;
        expect(question['cookie'] ?? '').toBe('');
        for (const [name] of FROM_A_PAGE) {
          expect(question).not.toHaveProperty(name.toLowerCase());
        }
        expect([question['x-forwarded-method'], question['x-original-method']].filter(Boolean)).toEqual(['POST']);
      });
    }
  });

  if (traits.asksRatchet) {
    describe('for browsers whose access token is in a cookie', () => {
      const { service } = useService({
        JWT_ISSUER: PAGES.auth,
        COOKIE_ORIGINS: `${PAGES.auth},${PAGES.app}`,
        ACCESS_COOKIE: 'on',
      });
      const jar = new CookieJar();
      let backend: EchoBackend;
      let gateway: RunningGateway;
      let userId: string;

      beforeAll(async () => {
        backend = await EchoBackend.start();
        gateway = await start({ ratchet: new URL(service.url).host, backend: backend.address });
        const { id, email, password } = await service.client.signUp();
        userId = id;
        const headers: HeaderLines = [
          ['Origin', PAGES.app],
          ['Content-Type', 'application/json'],
        ];
        const body = JSON.stringify({ email, password });
        const login = await sendRaw(gateway.url, { method: 'POST', path: '/auth/login', headers, body });
        jar.store(login.headers['set-cookie']);
      });

      afterAll(async () => {
        await gateway.stop();
        await backend.stop();
      });

      beforeEach(() => {
        backend.received.length = 0;
      });

      function cookies(which: 'both' | 'lax' | 'none'): HeaderLines {
        const lax = `theme=dark; ${ACCESS_NAME}=${jar.get(ACCESS_NAME) ?? ''}`;
        return [['Cookie', { none: 'theme=dark', lax, both: `${jar.header}; theme=dark` }[which]]];
      }

      it.each(BROWSER_ROWS.filter(({ sent }) => sent !== undefined))(
        'answers as Ratchet does, and hands on what it lets through: $kind of the page $page',
        async ({ sent, answers }) => {
          const { method, headers, cookies: which } = sent!;
          const answer = await sendRaw(gateway.url, {
            method,
            path: '/orders',
            headers: [...Object.entries(headers), ...cookies(which)],
          });
          const code = { 200: undefined, 401: 'access_token_missing', 403: 'cross_site_request' }[answers.verify ?? 0];
          expect({ status: answer.status, reason: answer.headers['x-auth-error'], code: answer.body?.code }).toEqual({
            status: answers.verify,
            reason: code,
            code,
          });
          expect(
            backend.received.map((received) => [valuesOf(received, 'x-user-id'), valuesOf(received, 'cookie')]),
          ).toEqual(code === undefined ? [[[userId], ['theme=dark']]] : []);
        },
      );

      it('denies what has lost the headers that say where it comes from', async () => {
        for (const method of ['GET', 'POST']) {
          const { status, headers } = await sendRaw(gateway.url, { method, path: '/orders', headers: cookies('both') });
          expect([status, headers['x-auth-error']]).toEqual([403, 'cross_site_request']);
        }
        expect(backend.received).toEqual([]);
      });

      it('looks at no cookie beside an Authorization header', async () => {
        for (const value of ['Bearer rubbish', 'Basic Og==']) {
          const headers: HeaderLines = [['Authorization', value], ['Origin', PAGES.app], ...cookies('both')];
          expect((await sendRaw(gateway.url, { path: '/orders', headers })).status).toBe(401);
        }
        expect(backend.received).toEqual([]);
      });

      it('lets no planted cookie keep the true one from Ratchet', async () => {
        const planted = 'ratchet-access=planted; __host-http-ratchet-access=planted';
        const headers: HeaderLines = [
          ['Origin', PAGES.app],
          ['Cookie', `${planted}; ${jar.header}`],
        ];
        expect((await sendRaw(gateway.url, { path: '/orders', headers })).status).toBe(200);
      });

      // The last one: it ends the session.
      it('lets a session go on, and end, by cookies', async () => {
        const refresh = await sendRaw(gateway.url, {
          method: 'POST',
          path: '/auth/refresh',
          headers: [['Origin', PAGES.app], ['Idempotency-Key', newIdempotencyKey()], ...cookies('both')],
        });
        expect(refresh.status).toBe(200);
        jar.store(refresh.headers['set-cookie']);
        const fromPage: HeaderLines = [['Origin', PAGES.app], ...cookies('both')];
        expect((await sendRaw(gateway.url, { path: '/orders', headers: fromPage })).status).toBe(200);
        const logout = await sendRaw(gateway.url, { method: 'POST', path: '/auth/logout', headers: fromPage });
        expect(logout.status).toBe(204);
        const { status, headers } = await sendRaw(gateway.url, { path: '/orders', headers: fromPage });
        expect([status, headers['x-auth-error']]).toEqual([401, 'access_token_revoked']);
      });
    });
  }
}

const ACCESS_NAME = '__Host-Http-ratchet-access';

const FROM_A_PAGE: HeaderLines = [
  ['Origin', 'https://app.example.test'],
  ['Sec-Fetch-Site', 'same-site'],
  ['Sec-Fetch-Mode', 'cors'],
  ['Sec-Fetch-Dest', 'empty'],
];

function headersOf(lines: HeaderLines): Record<string, string> {
  return Object.fromEntries(lines.map(([name, value]) => [name.toLowerCase(), value]));
}
