import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTH_ORIGIN } from './support/browser-origins.js';
import { type RequestKind, pageFor, request, REQUEST_KINDS } from './support/browser-requests.js';
import { BROWSER_ROWS, PAGES, type SentByBrowser } from './support/browser-table.js';
import { isChromiumInstalled, useChromium } from './support/chromium.js';
import { CookieJar } from './support/cookie-jar.js';
import { eventually } from './support/eventually.js';
import type { HeaderLines } from './support/gateway-cases.js';
import { sendRaw } from './support/raw-request.js';
import { type FrontRequest, startTlsFront, type TlsFront } from './support/tls-front.js';
import { useService } from './support/use-service.js';

const REFRESH = '__Host-Http-ratchet-refresh';
const ACCESS = '__Host-Http-ratchet-access';

/** Of the connection, and what the test sets itself. */
const NOT_REPLAYED = /^(?:host|connection|upgrade|content-length|cookie|sec-websocket-.*)$/i;

describe.skipIf(!isChromiumInstalled())('a request that a page makes Chromium send', () => {
  const { database, service } = useService({
    JWT_ISSUER: AUTH_ORIGIN,
    COOKIE_ORIGINS: `${PAGES.auth},${PAGES.app}`,
    ACCESS_COOKIE: 'on',
  });
  let front: TlsFront;
  let account: { readonly email: string; readonly password: string };
  const sent = new Map<string, FrontRequest | undefined>();

  beforeAll(async () => {
    front = await startTlsFront((host, target) =>
      host === 'auth.example.test' && target.startsWith('/auth/') ? service.url : pageFor(target),
    );
    account = await service.client.signUp();
  });
  afterAll(() => front.stop());
  const browser = useChromium(() => front);

  beforeAll(async () => {
    await Promise.all(Object.entries(PAGES).map(([name, origin]) => collect(name, origin)));
  }, 180_000);

  /** Lets a page of the origin ask in every way, one after the other. */
  async function collect(name: string, origin: string): Promise<void> {
    const context = await browser.newContext();
    const cookie = { value: 'x', url: AUTH_ORIGIN, secure: true, httpOnly: true };
    await context.addCookies([
      { ...cookie, name: REFRESH, sameSite: 'Strict' },
      { ...cookie, name: ACCESS, sameSite: 'Lax' },
    ]);
    const page = await context.newPage();
    for (const kind of Object.keys(REQUEST_KINDS) as RequestKind[]) {
      await page.goto(origin);
      const target = `/auth/me?asked=${name}-${kind.replaceAll(/\W+/g, '-')}`;
      await request(page, kind, `${AUTH_ORIGIN}${target}`);
      const all = (): FrontRequest[] =>
        front.received.filter(({ url, host }) => url === target && host === 'auth.example.test');
      await eventually(() => all().length > 0 && all().every(({ status }) => status !== undefined), {
        withinMs: 10_000,
      });
      sent.set(
        `${kind} of ${name}`,
        all().find(({ method }) => method !== 'OPTIONS'),
      );
    }
    await context.close();
  }

  it.each(BROWSER_ROWS)('is as the table says: $kind of the page $page', ({ kind, page, sent: expected }) => {
    expect(partsOf(sent.get(`${kind} of ${page}`))).toEqual(expected);
  });

  it.each(BROWSER_ROWS.filter((row) => row.sent !== undefined))(
    'is answered as the table says, and changes nothing if it is refused: $kind of the page $page',
    async ({ kind, page, answers }) => {
      const jar = new CookieJar();
      const { email, password } = account;
      const login = await sendRaw(service.url, {
        method: 'POST',
        path: '/auth/login',
        headers: [
          ['origin', PAGES.app],
          ['content-type', 'application/json'],
        ],
        body: JSON.stringify({ email, password }),
      });
      jar.store(login.headers['set-cookie']);
      const recorded = sent.get(`${kind} of ${page}`)!;
      const got: Record<string, number> = {};
      for (const place of ['verify', 'me', 'refresh', 'logout'] as const) {
        if (answers[place] === undefined) {
          continue;
        }
        const before = await families();
        const answer = await sendRaw(service.url, {
          method: recorded.method,
          path: `/auth/${place}`,
          headers: [
            ...replayed(recorded, jar),
            ...(place === 'verify' ? [['x-original-method', recorded.method] as const] : []),
          ],
        });
        got[place] = answer.status;
        jar.store(answer.headers['set-cookie']);
        if (answer.status >= 400) {
          expect(answer.headers).not.toHaveProperty('set-cookie');
          expect(await families()).toEqual(before);
        }
      }
      expect(got).toEqual(answers);
    },
  );

  function families(): Promise<unknown> {
    return database.sql('select * from refresh_token_families order by id');
  }

  /** The headers as they were recorded, with the cookies of a session in the place of those that the browser had. */
  function replayed({ rawHeaders }: FrontRequest, jar: CookieJar): HeaderLines {
    const lines = rawHeaders.flatMap((name, index) =>
      index % 2 === 0 ? [[name, rawHeaders[index + 1]!] as const] : [],
    );
    return lines.flatMap(([name, value]) => {
      if (name.toLowerCase() === 'cookie') {
        const names = [...value.matchAll(/([^;= ]+)=/g)].map(([, cookie = '']) => cookie);
        return [[name, names.map((cookie) => `${cookie}=${jar.get(cookie) ?? ''}`).join('; ')] as const];
      }
      return NOT_REPLAYED.test(name) ? [] : [[name, value] as const];
    });
  }
});

function partsOf(request: FrontRequest | undefined): SentByBrowser | undefined {
  if (request === undefined) {
    return undefined;
  }
  const { method, rawHeaders } = request;
  const headers = Object.fromEntries(
    rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1]!]] : [])),
  ) as Record<string, string>;
  const { cookie = '' } = headers;
  return {
    method,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => /^(?:origin|sec-fetch-(?:site|mode|dest))$/.test(name)),
    ),
    cookies: cookie.includes(REFRESH) ? 'both' : cookie.includes(ACCESS) ? 'lax' : 'none',
  };
}
