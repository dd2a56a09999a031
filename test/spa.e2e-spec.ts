import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AccountsService } from '../src/auth/accounts/accounts.service.js';
import { APP_ORIGIN } from './support/browser-origins.js';
import { isChromiumInstalled, launchChromium } from './support/chromium.js';
import { contrastProblemsIn } from './support/contrast.js';
import { eventually } from './support/eventually.js';
import { isInstalled, type RunningGateway } from './support/gateway-process.js';
import type { LoadBalancer } from './support/load-balancer.js';
import { type SampleApplication, startSampleApplication } from './support/sample-application.js';
import { newEmail, newPassword } from './support/test-client.js';
import { startTlsFront, type TlsFront } from './support/tls-front.js';
import { useInstance, useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const BUILD_DEADLINE_MS = 300_000;
/** Generous, because a story waits for a browser on a busy machine. What has to be fast is measured by itself. */
const PATIENCE_MS = 20_000;

const canRun = [isChromiumInstalled(), isInstalled('nginx', '-v')].every(Boolean);

/** examples/spa, built and served as docker compose does, with the sample backend behind the same gateway. */
(canRun ? describe : describe.skip)('the sample application, in Chromium through nginx,', () => {
  const settings = { JWT_ISSUER: APP_ORIGIN, COOKIE_ORIGINS: APP_ORIGIN };
  const { database, service } = useService(settings);
  const limitingInstance = useInstance(database, { ...settings, RATE_LIMITS: 'on' });
  let sample: SampleApplication;
  let toService: LoadBalancer;
  let gateway: RunningGateway;
  let front: TlsFront;
  let browser: Browser;
  let context: BrowserContext;
  /** What a page has thrown, or its policy has refused. */
  const complaints: string[] = [];

  beforeAll(async () => {
    sample = await startSampleApplication(service, APP_ORIGIN);
    ({ gateway, toService } = sample);
    front = await startTlsFront(() => gateway.url);
    browser = await launchChromium(front);
  }, BUILD_DEADLINE_MS);

  afterAll(async () => {
    await browser.close();
    await front.stop();
    await sample.stop();
  });

  beforeEach(async () => {
    complaints.length = 0;
    toService.targets = [service.url];
    context = await newContext();
  });

  afterEach(async () => {
    await Promise.all(browser.contexts().map((each) => each.close()));
    expect(complaints).toEqual([]);
  });

  async function newContext(options = {}): Promise<BrowserContext> {
    const made = await browser.newContext(options);
    made.setDefaultTimeout(PATIENCE_MS);
    return made;
  }

  async function openPage(of = context): Promise<Page> {
    const page = await of.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports each answer of 4xx and 5xx there as well.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    await page.goto(APP_ORIGIN);
    return page;
  }

  const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
  const welcome = (page: Page): Locator => page.getByRole('heading', { name: 'Welcome' });
  const signInForm = (page: Page): Locator => page.getByRole('heading', { name: 'Sign in' });

  async function submit(page: Page, { email, password }: { readonly email: string; readonly password: string }) {
    await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.locator('button[type=submit]').click();
  }

  async function signUp(page: Page): Promise<{ readonly email: string; readonly password: string }> {
    const account = { email: newEmail(), password: newPassword() };
    await button(page, 'Create an account').click();
    await submit(page, account);
    await welcome(page).waitFor();
    return account;
  }

  it('signs a new user up and in, and shows what the backend answers to that user', async () => {
    const page = await openPage();
    const { email } = await signUp(page);
    await page.getByText(`Signed in as ${email}`).waitFor();
    await page.getByText('a ratchet spanner').waitFor();
    const [{ id }] = (await database.sql<{ id: string }>('select id from users where email = $1', [email])) as [
      { readonly id: string },
    ];
    expect(await page.locator('code').textContent()).toBe(id);
  });

  it('keeps no token where a script can read it', async () => {
    const page = await openPage();
    await signUp(page);
    const [refresh, ...others] = await context.cookies(APP_ORIGIN);
    expect(others).toEqual([]);
    expect(refresh).toMatchObject({
      name: '__Host-Http-ratchet-refresh',
      value: expect.stringMatching(/^rt1\./),
      httpOnly: true,
      secure: true,
      sameSite: 'Strict',
    });
    const readable = await page.evaluate(
      'document.cookie + JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage })',
    );
    expect(readable).not.toMatch(/rt1\.|eyJ/);
    expect(readable).toContain('ratchet:');
  });

  it('signs an existing user in with the keyboard alone', async () => {
    const { email, password } = await service.client.signUp();
    const page = await openPage();
    await signInForm(page).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.type(email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await welcome(page).waitFor();
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Welcome');
    // The heading is no stop of its own; the first one after it is in the panel below.
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Reload the orders');
  });

  it('keeps the session over a reload and in a second tab, without a second sign-in', async () => {
    const first = await openPage();
    const { email } = await signUp(first);
    await first.reload();
    await first.getByText(`Signed in as ${email}`).waitFor();
    const second = await openPage();
    await second.getByText(`Signed in as ${email}`).waitFor();
    await Promise.all([first.reload(), second.reload()]);
    await Promise.all([welcome(first).waitFor(), welcome(second).waitFor()]);
    await first.getByText('this browser').waitFor();
    expect(await first.getByRole('listitem').filter({ hasText: '127.0.0.1' }).count()).toBe(1);
  });

  it('signs both tabs out when one does, and in when one does', async () => {
    const first = await openPage();
    const account = await signUp(first);
    const second = await openPage();
    await welcome(second).waitFor();
    await button(first, 'Sign out').click();
    await signInForm(first).waitFor();
    expect(await first.evaluate('document.activeElement.textContent')).toBe('Sign in');
    await second.getByText('You signed out in another tab.').waitFor();
    // The page does not wait for the service's answer, which removes it.
    await eventually(async () => (await context.cookies(APP_ORIGIN)).length === 0, { withinMs: 5_000 });
    await submit(second, account);
    await welcome(second).waitFor();
    await welcome(first).waitFor();
  });

  it('ends the session of another device, which says so at its next request', async () => {
    const phone = await newContext({ userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) Version/18.5 Safari/604.1' });
    const [here, there] = [await openPage(), await openPage(phone)];
    const account = await signUp(here);
    await submit(there, account);
    await welcome(there).waitFor();
    await button(here, 'Reload the sessions').click();
    await button(here, 'End the session of Safari on iOS').click();
    await here.getByText('The session of Safari on iOS has ended.').waitFor();
    expect(await here.evaluate('document.activeElement.id')).toBe('sessions');
    await button(there, 'Reload the orders').click();
    await there.getByText('This session was ended from another place.').waitFor();
    // Screen readers announce where the focus is.
    expect(await there.evaluate('document.activeElement.textContent')).toBe('Sign in');
    await button(here, 'Reload the orders').click();
    await welcome(here).waitFor();
  });

  it('signs out everywhere: the other tab at once, and another device at its next request', async () => {
    const phone = await newContext();
    const [tab, otherTab, there] = [await openPage(), await openPage(), await openPage(phone)];
    const account = await signUp(tab);
    await submit(there, account);
    await Promise.all([welcome(otherTab).waitFor(), welcome(there).waitFor()]);
    await button(tab, 'Sign out everywhere').click();
    await Promise.all([signInForm(tab).waitFor(), signInForm(otherTab).waitFor()]);
    await button(there, 'Reload the sessions').click();
    await there.getByText('This session was ended from another place.').waitFor();
  });

  it.each<[string, string, (account: { readonly id: string }) => Promise<unknown>, string]>([
    ['a wrong password', 'x', () => Promise.resolve(), 'The e-mail address or the password is not right.'],
    [
      'a disabled account',
      '',
      ({ id }) => service.app.get(AccountsService, { strict: false }).disable(id),
      'This account is disabled. Please ask the person who looks after your accounts.',
    ],
  ])('says in plain words what is wrong: %s', async (_, added, prepare, text) => {
    const account = await service.client.signUp();
    await prepare(account);
    const page = await openPage();
    await submit(page, { email: account.email, password: account.password + added });
    await page.getByRole('alert').getByText(text).waitFor();
    expect(await page.getByLabel('E-mail address').inputValue()).toBe(account.email);
    await signInForm(page).waitFor();
  });

  it('puts the focus on the field that the service does not accept, with a text that belongs to it', async () => {
    const page = await openPage();
    await button(page, 'Create an account').click();
    await submit(page, { email: 'ada', password: 'password' });
    const email = page.getByLabel('E-mail address');
    await page.getByText('This is not an e-mail address.').waitFor();
    expect(await email.getAttribute('aria-invalid')).toBe('true');
    expect(await page.evaluate('document.activeElement.id')).toBe('email');
    await submit(page, { email: newEmail(), password: 'password' });
    await page.locator('#password-problem:has-text("password")').waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('password');
    const { email: taken } = await service.client.signUp();
    await submit(page, { email: taken, password: newPassword() });
    await page.getByText('There is an account with this address already.').waitFor();
  });

  it('counts down after too many attempts, and lets no more through until then', async () => {
    toService.targets = [limitingInstance.url];
    const { email } = await service.client.signUp();
    const page = await openPage();
    const locked = page.getByRole('button', { name: /^Try again in \d+:\d\d$/ });
    for (let attempt = 0; attempt < 12 && (await locked.count()) === 0; attempt += 1) {
      const answer = page.waitForResponse('**/auth/login');
      await submit(page, { email, password: newPassword() });
      await answer;
      await page.getByRole('alert').getByText(/./).waitFor();
    }
    await page.getByText('Too many attempts. Please wait a moment.').waitFor();
    expect(await locked.isDisabled()).toBe(true);
  });

  it('stays signed in while the service is away, says so, and goes on by itself', async () => {
    const page = await openPage();
    const { email } = await signUp(page);
    await page.getByText('a ratchet spanner').waitFor();
    toService.targets = [];
    await button(page, 'Reload the sessions').click();
    await page.getByText('The service does not answer. You stay signed in').waitFor();
    const reloaded = await openPage();
    await reloaded.getByText('The service does not answer. You stay signed in').waitFor();
    toService.targets = [service.url];
    await page.getByText('The service does not answer. You stay signed in').waitFor({ state: 'hidden' });
    await page.getByText(`Signed in as ${email}`).waitFor();
    await reloaded.getByText(`Signed in as ${email}`).waitFor();
  });

  it('stays signed in without a network, says so, and goes on by itself', async () => {
    const page = await openPage();
    await signUp(page);
    await page.getByText('a ratchet spanner').waitFor();
    await context.setOffline(true);
    await button(page, 'Reload the orders').click();
    await page.getByText('The service does not answer. You stay signed in').waitFor();
    await page.getByText('a ratchet spanner').waitFor();
    await context.setOffline(false);
    await page.getByText('The service does not answer. You stay signed in').waitFor({ state: 'hidden' });
  });

  it('stays signed in when the browser has deleted what scripts stored, and says so when it has deleted the cookie', async () => {
    const page = await openPage();
    const { email } = await signUp(page);
    await page.evaluate('localStorage.clear()');
    await page.reload();
    await page.getByText(`Signed in as ${email}`).waitFor();
    await context.clearCookies();
    await page.reload();
    await page.getByText('Your session has ended. Please sign in again.').waitFor();
  });

  it('does not claim that a first visitor is signed out while the service is away', async () => {
    toService.targets = [];
    const page = await openPage();
    await page.getByText('The service does not answer at the moment.').waitFor();
    expect(await signInForm(page).count()).toBe(0);
    toService.targets = [service.url];
    await signInForm(page).waitFor();
  });

  it('keeps what was typed when the service is away at the sign-in', async () => {
    const account = await service.client.signUp();
    const page = await openPage();
    await signInForm(page).waitFor();
    toService.targets = [];
    await submit(page, account);
    await page.getByRole('alert').getByText('The service does not answer at the moment.').waitFor();
    toService.targets = [service.url];
    await button(page, 'Sign in').click();
    await welcome(page).waitFor();
  });

  it('lets no script run that is not a file of its own, and no page frame it', async () => {
    const answer = await fetch(gateway.url);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; .*form-action 'none'; .*frame-ancestors 'none'/,
    );
    const page = await openPage();
    await signInForm(page).waitFor();
    expect(complaints).toEqual([]);
    const attempts = [
      `document.body.append(Object.assign(document.createElement('script'), { text: 'window.smuggled = true' }))`,
      `document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.smuggled = true">')`,
      `const script = document.createElement('script');
       script.append('window.smuggled = true');
       document.body.append(script);`,
      `document.body.append(Object.assign(document.createElement('script'), { src: 'data:,window.smuggled=true' }))`,
    ];
    for (const attempt of attempts) {
      await page.evaluate(attempt).catch(() => undefined);
    }
    expect(await page.evaluate('window.smuggled')).toBeUndefined();
    expect(complaints.splice(0).join()).toMatch(/TrustedScript|Content Security Policy/);
  });

  it('lets browsers keep its hashed files for ever, and asks about everything else', async () => {
    const html = await (await fetch(gateway.url)).text();
    const files = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path = '']) => path);
    expect(files.map((path) => path.replace(/-[\w-]{8}\./, '-HASH.')).sort()).toEqual([
      '/assets/index-HASH.css',
      '/assets/index-HASH.js',
      '/assets/mark-HASH.svg',
    ]);
    for (const path of files) {
      const { status, headers } = await fetch(new URL(path, gateway.url));
      expect(status).toBe(200);
      expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    }
    const missing = await fetch(new URL('/assets/index-00000000.js', gateway.url));
    expect(missing.status).toBe(404);
    expect(missing.headers.get('cache-control')).toBeNull();
    expect((await fetch(new URL('/index.html', gateway.url))).status).toBe(401);
  });

  it('is set up as docs/browser.md says: its block signs in and gets an answer of the backend', async () => {
    const { email, password } = await service.client.signUp();
    const document = await readFile(join(CHECKOUT, 'docs/browser.md'), 'utf8');
    const [, block = ''] = /^ *```js\n(.*?)^ *```$/ms.exec(document) ?? [];
    await context.route(`${APP_ORIGIN}/client/*`, (route) => {
      const name = new URL(route.request().url()).pathname.replace('/client/', '');
      return route.fulfill({ path: join(CHECKOUT, 'packages/client/dist', name), contentType: 'text/javascript' });
    });
    await context.route(`${APP_ORIGIN}/block`, (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<script type="importmap">{ "imports": { "@ratchet/client": "/client/index.js" } }</script>
          <script>const { email, password } = ${JSON.stringify({ email, password })};</script>
          <script type="module">${block} document.body.textContent = await orders.text();</script>`,
      }),
    );
    const page = await context.newPage();
    await page.goto(`${APP_ORIGIN}/block`);
    await page.getByText('a ratchet spanner').waitFor();
    expect(await context.cookies(APP_ORIGIN)).toHaveLength(1);
  });

  it('fits windows of 320, 390 and 1280 pixels without scrolling sideways, and has contrast in light and dark', async () => {
    const page = await openPage();
    const judgeLooks = async (): Promise<void> => {
      for (const width of [320, 390, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await contrastProblemsIn(page)).toEqual([]);
      }
    };
    await submit(page, { email: newEmail(), password: newPassword() });
    await page.getByText('The e-mail address or the password is not right.').waitFor();
    await judgeLooks();
    await signUp(page);
    await page.getByText('a ratchet spanner').waitFor();
    await page.getByText('this browser').waitFor();
    await judgeLooks();
  });
});
