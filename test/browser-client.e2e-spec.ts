import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BrowserContext, Page } from 'playwright-core';
import { isChromiumInstalled, useChromium } from './support/chromium.js';
import { eventually } from './support/eventually.js';
import { LossyProxy } from './support/lossy-proxy.js';
import { startService, type TestService } from './support/test-service.js';
import type { Account } from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';
import type { RatchetClient } from '@ratchet/client';

type Mode = 'cookie' | 'token';

/** The host says the mode to the page, and its origin says it to the service. */
const ORIGIN: Readonly<Record<Mode, string>> = { cookie: 'http://localhost', token: 'http://127.0.0.1' };

const SETTINGS = { JWT_ISSUER: 'http://localhost:3000', COOKIE_ORIGINS: ORIGIN.cookie };
const DEADLINE_MS = 20_000;
const TABS = 4;
const ROUNDS = 4;
/** Of each mode. `CLIENT_SESSIONS=10` is the number that the documents give figures of. */
const SESSIONS = Number(process.env['CLIENT_SESSIONS'] ?? 3);
/** Each tab is a process of its own, and many of them on few cores take their time. */
const LONGEST_TEST_MS = 240_000;

/** What the page has, for functions that run in it. */
declare const client: RatchetClient;

describe.skipIf(!isChromiumInstalled())('the client in Chromium', () => {
  const proxy = new LossyProxy();
  beforeAll(() => proxy.listen());
  afterAll(() => proxy.close());
  const database = useDatabase();
  const service = useInstance(database, SETTINGS);
  const chromium = useChromium(() => proxy);
  let account: Account;
  let context: BrowserContext;

  beforeAll(async () => {
    account = await service.client.signUp();
  });

  beforeEach(async () => {
    Object.assign(proxy, { loss: 0, target: service.url, expiresIn: undefined, held: undefined });
    proxy.keys.length = 0;
    context = await chromium.newContext();
    return () => context.close();
  });

  async function openTab(mode: Mode, into = context): Promise<Page> {
    const page = await into.newPage();
    await page.goto(ORIGIN[mode]);
    await page.waitForFunction(() => 'client' in globalThis);
    return page;
  }

  function signIn(page: Page, { email, password }: Account = account): Promise<void> {
    return page.evaluate((credentials) => client.signIn(credentials), { email, password });
  }

  /** The token, or the code and the reason of the error. */
  function use(page: Page): Promise<string> {
    return page.evaluate(() =>
      client.accessToken().then(
        () => 'good',
        (error: unknown) => {
          const { code, reason = '' } = error as { readonly code: string; readonly reason?: string };
          return `${code} ${reason}`.trim();
        },
      ),
    );
  }

  const stateOf = (page: Page): Promise<string> => page.evaluate(() => client.state);

  async function endedSessions(): Promise<unknown> {
    return database.sql('select revoke_reason from refresh_token_families where revoked_at is not null');
  }

  function hold(): () => void {
    let release = (): void => undefined;
    proxy.held = new Promise((resolve) => {
      release = () => {
        proxy.held = undefined;
        resolve();
      };
    });
    return () => {
      release();
    };
  }

  async function refreshArrived(count: number): Promise<void> {
    await eventually(() => proxy.keys.length >= count, { withinMs: DEADLINE_MS });
  }

  /** Tabs refresh all at once, a fifth of the answers is lost, and a tab is closed in the middle of each round. */
  async function live(mode: Mode): Promise<string> {
    const own = await chromium.newContext();
    try {
      const first = await openTab(mode, own);
      await signIn(first);
      let tabs = [first, ...(await Promise.all(Array.from({ length: TABS - 1 }, () => openTab(mode, own))))];
      for (let round = 0; round < ROUNDS; round += 1) {
        const [closed, ...kept] = tabs;
        const leaving = closed?.evaluate(() => {
          void client.accessToken();
        });
        const uses = kept.map((page) => use(page));
        await leaving;
        const opened = openTab(mode, own);
        await closed?.close();
        const outcomes = await Promise.all(uses);
        if (outcomes.some((outcome) => outcome !== 'good')) {
          return outcomes.join();
        }
        tabs = [...kept, await opened];
      }
      return 'alive';
    } finally {
      await own.close();
    }
  }

  describe('with four tabs, lost answers and tabs that are closed', () => {
    it.each<Mode>(['cookie', 'token'])(
      'kills no session in %s mode',
      async (mode) => {
        Object.assign(proxy, { loss: 0.2, expiresIn: 0, refreshes: 0, lost: 0 });
        const before = await endedSessions();
        const outcomes: string[] = [];
        const liveOn = async (): Promise<void> => {
          while (outcomes.length + under < SESSIONS) {
            under += 1;
            const outcome = await live(mode);
            under -= 1;
            outcomes.push(outcome);
          }
        };
        let under = 0;
        await Promise.all(Array.from({ length: 3 }, liveOn));
        expect(outcomes).toEqual(Array(SESSIONS).fill('alive'));
        expect(await endedSessions()).toEqual(before);
        expect(service.logs.filter(({ event }) => event === 'refresh_token_reused')).toEqual([]);
        expect(proxy.lost).toBeGreaterThan(SESSIONS);
        expect(proxy.refreshes).toBeGreaterThan(SESSIONS * ROUNDS);
      },
      LONGEST_TEST_MS,
    );

    it(
      'kills them where a Web Lock alone guards the token and the key is kept in memory',
      async () => {
        const killed = await Promise.all(
          Array.from({ length: 3 }, async () => {
            const own = await chromium.newContext();
            const { pair } = await service.client.signUpAndIn();
            const tabs = await Promise.all(Array.from({ length: TABS }, () => openTab('token', own)));
            await tabs[0]?.evaluate(`localStorage.setItem('token', ${JSON.stringify(pair.refresh_token)})`);
            await Promise.all(tabs.map((page) => page.waitForFunction(`localStorage.getItem('token')`)));
            const refresh = `navigator.locks.request('token', async () => {
            const body = JSON.stringify({ refresh_token: localStorage.getItem('token') });
            const headers = { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() };
            const answer = await fetch('/auth/refresh', { method: 'POST', headers, body });
            if (answer.ok) localStorage.setItem('token', (await answer.json()).refresh_token);
            return answer.ok;
          })`;
            const rounds = [];
            for (let round = 0; round < ROUNDS; round += 1) {
              rounds.push(...(await Promise.all(tabs.map((page) => page.evaluate<boolean>(refresh)))));
            }
            await own.close();
            return rounds.includes(false);
          }),
        );
        expect(killed).toContain(true);
        await database.sql('delete from refresh_token_families where revoked_at is not null');
      },
      LONGEST_TEST_MS,
    );
  });

  it.each<Mode>(['cookie', 'token'])('goes on after the device was offline, in %s mode', async (mode) => {
    proxy.expiresIn = 0;
    const page = await openTab(mode);
    await signIn(page);
    await context.setOffline(true);
    const used = use(page);
    await page.waitForFunction('!navigator.onLine');
    await context.setOffline(false);
    expect(await used).toBe('good');
  });

  it.each<Mode>(['cookie', 'token'])('goes on after the service has restarted, in %s mode', async (mode) => {
    proxy.expiresIn = 0;
    const page = await openTab(mode);
    await signIn(page);
    proxy.target = undefined;
    const used = use(page);
    let other: TestService | undefined;
    try {
      other = await startService(database, SETTINGS);
      proxy.target = other.url;
      expect(await used).toBe('good');
    } finally {
      await other?.stop();
    }
  });

  it('refreshes once after 8 h of sleep', async () => {
    const page = await context.newPage();
    await page.clock.install();
    await page.goto(ORIGIN.token);
    await page.waitForFunction(() => 'client' in globalThis);
    await signIn(page);
    await page.clock.fastForward('08:00:00');
    expect(await Promise.all([use(page), use(page)])).toEqual(['good', 'good']);
    expect(proxy.keys).toHaveLength(1);
  });

  it.each<Mode>(['cookie', 'token'])(
    'uses the key of a tab that has crashed under the lock, in %s mode',
    async (mode) => {
      proxy.expiresIn = 0;
      const [crashing, other] = [await openTab(mode), await openTab(mode)];
      await signIn(crashing);
      await other.evaluate(() => client.wake());
      const release = hold();
      await crashing.evaluate(() => {
        void client.accessToken();
      });
      await refreshArrived(1);
      const session = await context.newCDPSession(crashing);
      session.send('Page.crash').catch(() => undefined);
      const used = use(other);
      await refreshArrived(2);
      release();
      expect(await used).toBe('good');
      expect(proxy.keys[1]).toBe(proxy.keys[0]);
    },
  );

  it.each<Mode>(['cookie', 'token'])(
    'stays signed out in all tabs though one of them is refreshing, in %s mode',
    async (mode) => {
      proxy.expiresIn = 0;
      const [one, other] = [await openTab(mode), await openTab(mode)];
      await signIn(one);
      await other.evaluate(() => client.wake());
      const release = hold();
      const used = use(other);
      await refreshArrived(1);
      const left = one.evaluate(() => client.signOut());
      await one.waitForFunction(() => client.state === 'signed_out');
      release();
      expect(await left).toEqual({ acknowledged: true });
      // The refresh may end before its tab can see the sign-out, and that tab learns of it a moment later.
      expect(['signed_out elsewhere', 'good']).toContain(await used);
      await other.waitForFunction(() => client.state === 'signed_out');
      expect([await use(one), await stateOf(one)]).toEqual(['signed_out here', 'signed_out']);
      expect(await use(await openTab(mode))).toBe('signed_out elsewhere');
    },
  );

  it.each<Mode>(['cookie', 'token'])('is of the user who has signed in last in all tabs, in %s mode', async (mode) => {
    const [one, other] = [await openTab(mode), await openTab(mode)];
    await signIn(one);
    await other.evaluate(() => client.wake());
    proxy.expiresIn = 0;
    await signIn(one);
    await other.evaluate(() => client.wake());
    const grace = await service.client.signUp();
    const release = hold();
    const used = use(other);
    await refreshArrived(1);
    const entered = signIn(one, grace);
    release();
    await entered;
    await used;
    proxy.expiresIn = undefined;
    for (const page of [one, other]) {
      const asked = page.evaluate(async () => (await client.fetch('/auth/me')).json());
      expect(await asked).toMatchObject({ id: grace.id });
    }
  });

  it('may be made, disposed of and made again, as React does in its strict mode', async () => {
    proxy.expiresIn = 0;
    const page = await openTab('token');
    await signIn(page);
    const made = page.evaluate(async () => {
      const { createClient } = globalThis as unknown as { createClient: (options: object) => RatchetClient };
      const options = { baseUrl: '/', mode: 'token' };
      const first = createClient(options);
      const asked = first.accessToken().then(
        () => 'good',
        (error: unknown) => (error as { readonly code: string }).code,
      );
      first.dispose();
      const second = createClient(options);
      await second.accessToken();
      return [await asked, second.state];
    });
    expect(await made).toEqual(['disposed', 'signed_in']);
  });

  it('ends the session at the next refresh when a thief has used a copy of the record', async () => {
    const page = await openTab('token');
    await signIn(page);
    const record = await page.evaluate<string>(`localStorage.getItem('ratchet:http://127.0.0.1')`);
    const { refresh_token, key } = JSON.parse(record) as { refresh_token: string; key?: string };
    expect(key).toBeUndefined();
    const stolen = await service.client.rotate(refresh_token);
    const forced = page.evaluate(() =>
      client
        .accessToken({ minValiditySeconds: 3_600 })
        .catch((error: unknown) => (error as { readonly reason: string }).reason),
    );
    expect(await forced).toBe('refresh_token_reused');
    expect((await service.client.refresh(stolen.refresh_token)).status).toBe(401);
  });

  describe('with the access token in a cookie', () => {
    const withAccessCookie = useInstance(database, { ...SETTINGS, ACCESS_COOKIE: 'on' });

    /** Four minutes and ten seconds after the sign-in, when a token of five minutes is due. */
    async function openDueTab(visibility: 'visible' | 'hidden'): Promise<Page> {
      proxy.target = withAccessCookie.url;
      const page = await context.newPage();
      await page.clock.install();
      await page.addInitScript(`Object.defineProperty(document, 'visibilityState', { value: '${visibility}' })`);
      await page.goto(ORIGIN.cookie);
      await page.waitForFunction(() => 'client' in globalThis);
      await signIn(page);
      await page.clock.fastForward('04:10');
      return page;
    }

    async function accessCookie(): Promise<string | undefined> {
      return (await context.cookies()).find(({ name }) => name === 'ratchet-access')?.value;
    }

    it('fetches with the cookie, refreshes beside that, and has no token to return', async () => {
      const page = await openDueTab('hidden');
      const before = await accessCookie();
      const release = hold();
      const asked = page.evaluate(async () => (await client.fetch('/auth/me')).json());
      expect(await asked).toMatchObject({ id: account.id });
      await refreshArrived(1);
      expect(await accessCookie()).toBe(before);
      release();
      await eventually(async () => (await accessCookie()) !== before, { withinMs: DEADLINE_MS });
      expect(await use(page)).toBe('access_token_in_cookie');
      expect(await page.evaluate('document.cookie')).toBe('');
    });

    it('keeps the cookie fresh by itself while the page is visible, and not while it is hidden', async () => {
      await openDueTab('hidden');
      await openDueTab('visible');
      await refreshArrived(1);
      expect(proxy.keys).toHaveLength(1);
    });
  });

  it('sends its token to no other origin after a redirect, and no cookie of the session is readable', async () => {
    const page = await openTab('cookie');
    await signIn(page);
    await page.evaluate(async () => client.fetch('/redirect'));
    expect(proxy.elsewhere).toEqual([undefined]);
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(JSON.stringify(await context.storageState())).toContain('ratchet-refresh');
    expect(await page.evaluate('JSON.stringify(localStorage)')).not.toMatch(/rt1|eyJ/);
  });
});
