import type { BrowserContext, Cookie, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsersService } from '../src/users/users.service.js';
import { APP_ORIGIN, AUTH_ORIGIN, EVIL_ORIGIN } from './support/browser-origins.js';
import { isChromiumInstalled, useChromium } from './support/chromium.js';
import { eventually } from './support/eventually.js';
import { type Account, newIdempotencyKey } from './support/test-client.js';
import { type Answering, startTlsFront, type TlsFront } from './support/tls-front.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const REFRESH = '__Host-Http-ratchet-refresh';
const ACCESS = '__Host-Http-ratchet-access';

interface Answer {
  /** 0 when there is none. */
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

describe.skipIf(!isChromiumInstalled())('the cookies of a session', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const service = useInstance(proxy, {
    JWT_ISSUER: AUTH_ORIGIN,
    COOKIE_ORIGINS: `${APP_ORIGIN},${AUTH_ORIGIN}`,
    ACCESS_COOKIE: 'on',
  });
  let front: TlsFront;
  let nextAnswers: Answering[] = [];
  /** What pages of the host `evil.example.test` set in their answers. */
  let planted: string[] = [];
  let context: BrowserContext;
  let page: Page;
  let account: Account;

  beforeAll(async () => {
    front = await startTlsFront((host, target, method) => {
      if (host === 'auth.example.test' && target.startsWith('/auth/')) {
        return (target === '/auth/refresh' && method === 'POST' && nextAnswers.shift()) || service.url;
      }
      return host === 'evil.example.test' ? { headers: { 'set-cookie': planted } } : {};
    });
  });
  afterAll(() => front.stop());
  const browser = useChromium(() => front);

  beforeEach(async () => {
    [nextAnswers, planted] = [[], []];
    account = await service.client.signUp();
    context = await browser.newContext();
    page = await openApp();
    await login(page);
    return () => context.close();
  });

  async function openApp(): Promise<Page> {
    const opened = await context.newPage();
    await opened.goto(APP_ORIGIN);
    return opened;
  }

  /** Asks the service from a page, which sees of the answer what a script sees. */
  function ask(from: Page, path: string, init: object = {}): Promise<Answer> {
    const url = JSON.stringify(`${AUTH_ORIGIN}/auth/${path}`);
    const options = JSON.stringify({ method: 'POST', credentials: 'include', ...init });
    return from.evaluate(
      `fetch(${url}, { ...${options}, signal: (globalThis.pending = new AbortController()).signal }).then(
        async (answer) => ({ status: answer.status, body: JSON.parse((await answer.text()) || '{}') }),
        () => ({ status: 0, body: {} }),
      )`,
    );
  }

  async function login(from: Page): Promise<Answer> {
    const { email, password } = account;
    const answer = await ask(from, 'login', {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
    expect(answer).toEqual({
      status: 200,
      body: { token_type: 'Bearer', expires_in: 300, refresh_expires_in: expect.any(Number) as number },
    });
    return answer;
  }

  function refresh(from: Page, key = newIdempotencyKey()): Promise<Answer> {
    return ask(from, 'refresh', { headers: { 'idempotency-key': key } });
  }

  async function cookies(): Promise<Readonly<Record<string, Cookie>>> {
    return Object.fromEntries((await context.cookies(AUTH_ORIGIN)).map((cookie) => [cookie.name, cookie]));
  }

  async function refreshCookie(): Promise<string | undefined> {
    return (await cookies())[REFRESH]?.value;
  }

  function sessions(): Promise<{ generation: number; revoke_reason: string | null }[]> {
    return database.sql<{ generation: number; revoke_reason: string | null }>(
      'select generation, revoke_reason from refresh_token_families where user_id = $1 order by created_at',
      [account.id],
    );
  }

  /** Keeps the next answer to a refresh back, after the service has made it. */
  function holdNextAnswer(): { readonly isMade: Promise<void>; release(): void; cut(): void } {
    const [made, until] = [withResolvers(), withResolvers()];
    nextAnswers.push({
      upstream: service.url,
      until: () => {
        made.resolve();
        return until.promise;
      },
    });
    return {
      isMade: made.promise,
      release: until.resolve,
      cut: () => {
        until.reject(new Error('cut'));
      },
    };
  }

  /** Ends the session without the browser. */
  async function endSession(): Promise<void> {
    const refreshToken = (await refreshCookie()) ?? '';
    expect((await service.client.logout({ refreshToken })).status).toBe(204);
  }

  it('are stored by Chromium as they are meant', async () => {
    const { [REFRESH]: refreshed, [ACCESS]: access, ...others } = await cookies();
    const attributes = { domain: 'auth.example.test', path: '/', secure: true, httpOnly: true };
    expect(refreshed).toMatchObject({ ...attributes, sameSite: 'Strict' });
    expect(access).toMatchObject({ ...attributes, sameSite: 'Lax' });
    expect(others).toEqual({});
  });

  it('are neither read, set, shadowed nor removed by a script of the host itself', async () => {
    const before = await cookies();
    await page.goto(AUTH_ORIGIN);
    const seen = await page.evaluate(`(() => {
      for (const name of ['${REFRESH}', '${ACCESS}']) {
        for (const attributes of ['', '; Path=/auth', '; Domain=example.test', '; Max-Age=0']) {
          for (const each of [name, name.toLowerCase(), '=' + name, ' ' + name]) {
            document.cookie = each + '=planted; Secure; Path=/' + attributes;
          }
        }
      }
      return document.cookie;
    })()`);
    expect(seen).not.toMatch(/ratchet/i);
    expect(await cookies()).toEqual(before);
    expect((await refresh(page)).status).toBe(200);
  });

  it('are not planted or removed by a sibling host, neither by its scripts nor by its answers', async () => {
    const before = await cookies();
    const lines = [REFRESH, ACCESS, REFRESH.toLowerCase(), `=${REFRESH}`].flatMap((name) =>
      ['', '; Domain=example.test', '; Domain=example.test; Path=/auth', '; Domain=example.test; Max-Age=0'].map(
        (attributes) => `${name}=planted; Secure; HttpOnly; Path=/${attributes}`,
      ),
    );
    planted = lines;
    const evil = await context.newPage();
    await evil.goto(EVIL_ORIGIN);
    for (const line of lines) {
      await evil.evaluate(`document.cookie = ${JSON.stringify(line.replace(' HttpOnly;', ''))}`);
    }
    expect(await cookies()).toEqual(before);
    expect((await refresh(page)).status).toBe(200);
    expect(await sessions()).toEqual([{ generation: 2, revoke_reason: null }]);
  });

  it('go on after a fetch that was aborted, with the same key', async () => {
    const [key, before] = [newIdempotencyKey(), await refreshCookie()];
    const held = holdNextAnswer();
    const aborted = refresh(page, key);
    await held.isMade;
    await page.evaluate('pending.abort()');
    expect((await aborted).status).toBe(0);
    expect(await refreshCookie()).toBe(before);
    await expectReplay(page, key);
  });

  it('go on in another tab after one was closed, with the same key', async () => {
    const [key, other] = [newIdempotencyKey(), await openApp()];
    const held = holdNextAnswer();
    const closed = refresh(page, key).catch(() => undefined);
    await held.isMade;
    await page.close();
    await closed;
    await expectReplay(other, key);
  });

  it('go on after the page has navigated away, with the same key', async () => {
    const key = newIdempotencyKey();
    const held = holdNextAnswer();
    const left = refresh(page, key).catch(() => undefined);
    await held.isMade;
    await page.goto(`${APP_ORIGIN}/elsewhere`);
    await left;
    await expectReplay(page, key);
  });

  it('go on when the connection dies and the browser repeats the request by itself', async () => {
    const key = newIdempotencyKey();
    expect((await refresh(page)).status).toBe(200);
    front.received.length = 0;
    const held = holdNextAnswer();
    const lost = refresh(page, key);
    await held.isMade;
    held.cut();
    // Chromium repeats it if the connection had carried a request before; else the page does.
    const status = (await lost).status || (await refresh(page, key)).status;
    expect(status).toBe(200);
    expect(front.received.filter(({ method }) => method === 'POST')).toHaveLength(2);
    expect(await sessions()).toEqual([{ generation: 3, revoke_reason: null }]);
    expect((await refresh(page)).status).toBe(200);
  });

  /** The retry gets what the lost answer had, and the session is the one that it was. */
  async function expectReplay(from: Page, key: string): Promise<void> {
    const [{ generation } = { generation: -1 }] = await sessions();
    expect((await refresh(from, key)).status).toBe(200);
    expect(await sessions()).toEqual([{ generation, revoke_reason: null }]);
    expect((await refresh(from)).status).toBe(200);
    expect(await sessions()).toEqual([{ generation: generation + 1, revoke_reason: null }]);
  }

  it('are removed by a logout, and those of others on the host are not', async () => {
    await context.addCookies([
      { name: 'theme', value: 'dark', url: AUTH_ORIGIN },
      { name: '__Host-other', value: '1', url: AUTH_ORIGIN, secure: true },
      { name: 'site', value: '1', domain: '.example.test', path: '/' },
    ]);
    expect((await ask(page, 'logout')).status).toBe(204);
    expect(Object.keys(await cookies()).sort()).toEqual(['__Host-other', 'site', 'theme']);
    expect(await sessions()).toEqual([{ generation: 1, revoke_reason: 'logout' }]);
  });

  it('are removed by a logout when the session has ended before', async () => {
    await endSession();
    expect((await refresh(page)).status).toBe(401);
    expect(Object.keys(await cookies()).sort()).toEqual([ACCESS, REFRESH].sort());
    expect((await ask(page, 'logout')).status).toBe(204);
    expect(await cookies()).toEqual({});
  });

  it.each([
    ['a 401', 401],
    ['a 503', 503],
  ])('of a login in another tab stay when %s of an older refresh arrives', async (_what, status) => {
    const other = await openApp();
    if (status === 401) {
      await endSession();
    } else {
      proxy.refuse();
    }
    const held = holdNextAnswer();
    const refused = refresh(page);
    await held.isMade;
    await proxy.resume();
    await eventually(async () => (await service.client.get('/health/ready')).status === 200, { withinMs: 20_000 });
    await login(other);
    const after = await cookies();
    held.release();
    expect((await refused).status).toBe(status);
    expect(await cookies()).toEqual(after);
    expect((await refresh(page)).status).toBe(200);
  });

  it('fit into a request with the longest roles that an account gets and as many other cookies', async () => {
    const roles = Array.from({ length: 16 }, (_, index) => `${10 + index}`.padEnd(index === 0 ? 49 : 64, 'r'));
    await service.app.get(UsersService, { strict: false }).setRoles(account.id, roles);
    await context.addCookies(
      ['a', 'b'].map((name) => ({ name, value: name.repeat(4_000), url: AUTH_ORIGIN, secure: true })),
    );
    await login(page);
    const { [ACCESS]: access } = await cookies();
    expect(access?.value.length).toBeGreaterThan(3_000);
    expect((await ask(page, 'me', { method: 'GET' })).body).toMatchObject({ id: account.id, roles });
    expect((await refresh(page)).status).toBe(200);
    expect((await cookies())[ACCESS]?.value.length).toBeGreaterThan(3_000);
  });
});

function withResolvers(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let resolve: (() => void) | undefined;
  let reject: ((error: Error) => void) | undefined;
  const promise = new Promise<void>((fulfil, refuse) => {
    [resolve, reject] = [fulfil, refuse];
  });
  return { promise, resolve: () => resolve?.(), reject: (error) => reject?.(error) };
}
