import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP_ORIGIN } from './support/browser-origins.js';
import { isChromiumInstalled, launchChromium } from './support/chromium.js';
import { contrastProblemsIn } from './support/contrast.js';
import { isInstalled } from './support/gateway-process.js';
import { useMailbox } from './support/mailbox.js';
import { ageSession } from './support/move-clock.js';
import { type OutgoingMail, OutgoingMails, otherThan } from './support/outgoing-mails.js';
import { type SampleApplication, startSampleApplication } from './support/sample-application.js';
import { type Account, newEmail, newPassword } from './support/test-client.js';
import { startTlsFront, type TlsFront } from './support/tls-front.js';
import { useDatabase, useInstance } from './support/use-service.js';

const BUILD_DEADLINE_MS = 300_000;
/** Generous, because a story waits for a browser on a busy machine. */
const PATIENCE_MS = 20_000;

const canRun = [isChromiumInstalled(), isInstalled('nginx', '-v')].every(Boolean);

/** What users do by mail, in examples/spa, with what the mails say. */
(canRun ? describe : describe.skip)('by mail, the sample application in Chromium', () => {
  const settings = { JWT_ISSUER: APP_ORIGIN, COOKIE_ORIGINS: APP_ORIGIN };
  const database = useDatabase();
  const mailbox = useMailbox();
  const settingsWithMail = (): Record<string, string> => ({
    ...settings,
    MAIL_URL: mailbox.url,
    ACCOUNT_URL: `${APP_ORIGIN}/`,
  });
  const service = useInstance(database, settingsWithMail);
  const instanceWithoutMail = useInstance(database, settings);
  const strictInstance = useInstance(database, () => ({
    ...settingsWithMail(),
    EMAIL_VERIFICATION: 'required',
    EMAIL_SIGN_IN: 'on',
  }));
  const mails = new OutgoingMails(database, service);
  let sample: SampleApplication;
  let front: TlsFront;
  let browser: Browser;
  /** What a page has thrown, or its policy has refused. */
  const complaints: string[] = [];

  beforeAll(async () => {
    sample = await startSampleApplication(service, APP_ORIGIN);
    front = await startTlsFront(() => sample.gateway.url);
    browser = await launchChromium(front);
  }, BUILD_DEADLINE_MS);

  afterAll(async () => {
    await browser.close();
    await front.stop();
    await sample.stop();
  });

  beforeEach(() => {
    complaints.length = 0;
    sample.toService.targets = [service.url];
  });

  afterEach(async () => {
    await Promise.all(browser.contexts().map((each) => each.close()));
    expect(complaints).toEqual([]);
  });

  /** A page of a device of its own, or of the one of another page. */
  async function openPage({ at = '', of }: { at?: string; of?: BrowserContext } = {}): Promise<Page> {
    const context = of ?? (await browser.newContext());
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports each answer of 4xx and 5xx there as well.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    await page.goto(APP_ORIGIN + at);
    return page;
  }

  const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
  const heading = (page: Page, name: string): Locator => page.getByRole('heading', { name, exact: true });
  const welcome = (page: Page): Locator => heading(page, 'Welcome');
  const linkOf = (purpose: string, { token }: OutgoingMail): string => `/#${purpose}=${token}`;

  async function signIn(page: Page, { email, password }: Pick<Account, 'email' | 'password'>): Promise<void> {
    await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button(page, 'Sign in').click();
  }

  async function signedIn(account?: Account): Promise<{ page: Page; account: Account }> {
    const used = account ?? (await service.client.signUp());
    const page = await openPage();
    await signIn(page, used);
    await welcome(page).waitFor();
    return { page, account: used };
  }

  async function askForAccount(page: Page, { email, password }: Pick<Account, 'email' | 'password'>): Promise<void> {
    await button(page, 'Create an account').click();
    await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button(page, 'Create account').click();
    await page.getByText(`A mail with a code is on its way to ${email}.`).waitFor();
  }

  async function askForLink(page: Page, email: string): Promise<void> {
    await button(page, 'Forgot your password?').click();
    await page.getByLabel('E-mail address').fill(email);
    await button(page, 'Send a link').click();
    await page.getByText(`If ${email} has an account, a mail is on its way.`).waitFor();
  }

  async function askForChange(page: Page, address: string): Promise<void> {
    await button(page, 'Change the e-mail address').click();
    await page.getByLabel('New e-mail address').fill(address);
    await button(page, 'Send a code').click();
  }

  async function typeCode(page: Page, code: string): Promise<void> {
    await page.getByLabel('Code', { exact: true }).fill(code);
    await button(page, 'Confirm').click();
  }

  it('lets a user who has forgotten the password choose another one by the link in the mail, and says the same of unknown addresses', async () => {
    const { page: before, account } = await signedIn();
    const page = await openPage();
    await askForLink(page, newEmail());
    await askForLink(page, account.email);
    const [link = ''] = (await mailbox.next({ to: account.email })).links;
    expect(link.slice(0, APP_ORIGIN.length + 2)).toBe(`${APP_ORIGIN}/#`);

    const phone = await openPage({ at: link.slice(APP_ORIGIN.length) });
    await heading(phone, 'Choose a new password').waitFor();
    expect(phone.url()).toBe(`${APP_ORIGIN}/`);
    const password = newPassword();
    await phone.getByLabel('New password').fill(password);
    await button(phone, 'Set new password').click();
    await phone.getByText('Your new password is set. Sign in with it.').waitFor();
    await signIn(phone, { email: account.email, password });
    await welcome(phone).waitFor();

    await button(before, 'Reload the orders').click();
    await before.getByText('This session was ended from another place.').waitFor();
  });

  it('does nothing with a link before the button is pressed, whatever opens it', async () => {
    const account = await service.client.signUp();
    await askForLink(await openPage(), account.email);
    const link = linkOf('password_reset', await mails.last(account.email, 'password_reset'));
    for (let scanner = 0; scanner < 3; scanner += 1) {
      const page = await openPage({ at: link });
      await button(page, 'Set new password').waitFor();
      await page.reload();
      // The token has left the address, so that there is nothing to find in the history.
      await heading(page, 'Sign in').waitFor();
    }
    const page = await openPage({ at: link });
    await page.getByLabel('New password').fill(newPassword());
    await button(page, 'Set new password').click();
    await page.getByText('Your new password is set.').waitFor();
    const again = await openPage({ at: link, of: page.context() });
    await again.getByLabel('New password').fill(newPassword());
    await button(again, 'Set new password').click();
    await again.getByText('This link has expired, was used already').waitFor();
    await button(again, 'Not now').click();
    await heading(again, 'Sign in').waitFor();
  });

  it('takes a link in a tab that shows it already, and is signed out when the reset has ended its session', async () => {
    const { page, account } = await signedIn();
    await service.client.post('/auth/password/forgot', { email: account.email });
    const link = linkOf('password_reset', await mails.last(account.email, 'password_reset'));
    await page.evaluate(`location.hash = ${JSON.stringify(link.slice(1))}`);
    await page.getByLabel('New password').fill(newPassword());
    await button(page, 'Set new password').click();
    await page.getByText('Your new password is set. Sign in with it.').waitFor();
    await heading(page, 'Sign in').waitFor();
  });

  it('changes the address by the code of the new mailbox, once the user has signed in again', async () => {
    const { page, account } = await signedIn();
    const [{ id }] = (await database.sql<{ id: string }>('select id from refresh_token_families where user_id = $1', [
      account.id,
    ])) as [{ readonly id: string }];
    await ageSession(database, id, 400);
    await page.reload();
    const address = newEmail();
    await askForChange(page, address);
    await page.getByText('You signed in a while ago.').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(newPassword());
    await button(page, 'Go on').click();
    await page.getByText('The e-mail address or the password is not right.').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(account.password);
    await button(page, 'Go on').click();
    await page.getByText(`A mail with a code is on its way to ${address}.`).waitFor();
    // The session that the new one replaces is not left behind.
    expect(await page.getByRole('listitem').filter({ hasText: '127.0.0.1' }).count()).toBe(1);

    const { code } = await mails.last(address, 'email_change');
    await typeCode(page, otherThan(code));
    await page.getByText('This code is not right.').waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('code');
    await page.reload();
    await page.getByText(`A mail with a code is on its way to ${address}.`).waitFor();
    await typeCode(page, ` ${code.slice(0, 4)} ${code.slice(4)}`);
    await page.getByText('Your e-mail address is changed.').waitFor();
    await page.getByText(`Signed in as ${address}`).waitFor();
    await page.getByText('confirmed', { exact: true }).waitFor();
  });

  it('changes the address by a link only where the account that has asked is signed in', async () => {
    const { page, account } = await signedIn();
    const address = newEmail();
    await askForChange(page, address);
    await page.getByText(`A mail with a code is on its way to ${address}.`).waitFor();
    const link = linkOf('email_change', await mails.last(address, 'email_change'));

    const { page: stranger } = await signedIn();
    await stranger.goto('about:blank');
    await stranger.goto(APP_ORIGIN + link);
    await button(stranger, 'Use this address').click();
    await stranger.getByText('belongs to another account').waitFor();

    const phone = await openPage({ at: link });
    await phone.getByText('Sign in first, to the account that has asked for this mail.').waitFor();
    await signIn(phone, account);
    await button(phone, 'Use this address').click();
    await phone.getByText('Your e-mail address is changed.').waitFor();
    // The session that has asked goes on, and no other.
    await heading(phone, 'Sign in').waitFor();
    await page.reload();
    await page.getByText(`Signed in as ${address}`).waitFor();
    await signIn(phone, { ...account, email: address });
    await phone.getByText(`Signed in as ${address}`).waitFor();
  });

  it('takes an address back by the link in the old mailbox, and leaves the intruder outside', async () => {
    const { page: intruder, account } = await signedIn();
    const address = newEmail();
    await askForChange(intruder, address);
    await intruder.getByLabel('Code', { exact: true }).waitFor();
    await typeCode(intruder, (await mails.last(address, 'email_change')).code);
    await intruder.getByText('Your e-mail address is changed.').waitFor();

    const owner = await openPage({
      at: linkOf('email_change_undo', await mails.last(account.email, 'email_change_notice')),
    });
    await button(owner, 'Take it back').click();
    await owner.getByText('Your account has its old address.').waitFor();
    await button(intruder, 'Reload the orders').click();
    await heading(intruder, 'Sign in').waitFor();
    await signIn(intruder, account);
    await intruder.getByText('The e-mail address or the password is not right.').waitFor();

    const password = newPassword();
    const undone = await mails.last(account.email, 'email_change_undone');
    const reset = await openPage({ at: linkOf('password_reset', undone), of: owner.context() });
    await reset.getByLabel('New password').fill(password);
    await button(reset, 'Set new password').click();
    await signIn(reset, { email: account.email, password });
    await reset.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('confirms the address of an account by a code or by a link', async () => {
    for (const means of ['code', 'link'] as const) {
      const { page, account } = await signedIn();
      await page.getByText('not confirmed', { exact: true }).waitFor();
      await button(page, 'Confirm this address').click();
      await page.getByText(`A mail with a code is on its way to ${account.email}.`).waitFor();
      const mail = await mails.last(account.email, 'email_verification');
      if (means === 'code') {
        await typeCode(page, mail.code);
      } else {
        await page.goto('about:blank');
        await page.goto(APP_ORIGIN + linkOf('email_verification', mail));
        await button(page, 'Confirm').click();
      }
      await page.getByText('Your e-mail address is confirmed.').waitFor();
      await page.getByText('confirmed', { exact: true }).waitFor();
      expect(await button(page, 'Confirm this address').count()).toBe(0);
    }
  });

  it('makes an account once its mailbox is proven, by the code in the page that asked', async () => {
    sample.toService.targets = [strictInstance.url];
    const account = { email: newEmail(), password: newPassword() };
    const page = await openPage();
    await askForAccount(page, account);
    const { code } = await mails.last(account.email, 'registration');
    await page.getByLabel('Code', { exact: true }).fill(otherThan(code));
    await button(page, 'Create account').click();
    await page.getByText('This code is not right.').waitFor();
    // A phone has dropped the page while its user read the mail.
    await page.reload();
    await page.getByLabel('Code', { exact: true }).fill(code);
    await button(page, 'Create account').click();
    await page.getByText(`Signed in as ${account.email}`).waitFor();
    await page.getByText('confirmed', { exact: true }).waitFor();
    await button(page, 'Sign out').click();
    await heading(page, 'Sign in').waitFor();
    await signIn(page, account);
    await welcome(page).waitFor();
  });

  it('makes an account by a link, with the password that the owner of the mailbox chooses', async () => {
    sample.toService.targets = [strictInstance.url];
    const account = { email: newEmail(), password: newPassword() };
    const intruder = await openPage();
    await askForAccount(intruder, account);
    const owner = await openPage({ at: linkOf('registration', await mails.last(account.email, 'registration')) });
    const password = newPassword();
    await owner.getByLabel('Password', { exact: true }).fill(password);
    await button(owner, 'Create account').click();
    await owner.getByText(`Signed in as ${account.email}`).waitFor();
    await intruder.getByLabel('Code', { exact: true }).fill('12345678');
    await button(intruder, 'Create account').click();
    await intruder.getByText('This code has expired, or was tried too often.').waitFor();
    await button(intruder, 'Start again').click();
    await button(intruder, 'Sign in').click();
    await signIn(intruder, account);
    await intruder.getByText('The e-mail address or the password is not right.').waitFor();
  });

  it('signs in by a code, or by a link on another device, without a password', async () => {
    sample.toService.targets = [strictInstance.url];
    const { email } = await service.client.signUp();
    const page = await openPage();
    await button(page, 'Sign in with a code').click();
    await page.getByLabel('E-mail address').fill(email);
    await button(page, 'Send a code').click();
    await page.getByText(`A mail with a code is on its way to ${email}.`).waitFor();
    await page.getByLabel('Code', { exact: true }).fill((await mails.last(email, 'sign_in_code')).code);
    await button(page, 'Sign in').click();
    await page.getByText(`Signed in as ${email}`).waitFor();

    await strictInstance.client.post('/auth/email-code', { email });
    const phone = await openPage({ at: linkOf('sign_in_code', await mails.last(email, 'sign_in_code')) });
    await button(phone, 'Sign in').click();
    await phone.getByText(`Signed in as ${email}`).waitFor();
  });

  it('says that a service without mail sends none, and keeps what was typed', async () => {
    sample.toService.targets = [instanceWithoutMail.url];
    const account = await service.client.signUp();
    const page = await openPage();
    for (const [view, send] of [
      ['Forgot your password?', 'Send a link'],
      ['Sign in with a code', 'Send a code'],
    ] as const) {
      await button(page, view).click();
      await page.getByLabel('E-mail address').fill(account.email);
      await button(page, send).click();
      await page.getByText('This service does not send mails for that.').waitFor();
      await button(page, 'Sign in').click();
    }
    expect(await page.getByLabel('E-mail address').inputValue()).toBe(account.email);
    await signIn(page, account);
    await welcome(page).waitFor();
    await askForChange(page, newEmail());
    await page.getByText('This service does not send mails for that.').waitFor();
    await button(page, 'Cancel').click();
    await button(page, 'Confirm this address').click();
    await page.getByText('This service does not send mails for that.').waitFor();
  });

  it('counts down when too many mails were asked for', async () => {
    const page = await openPage();
    const email = newEmail();
    await page.route('**/auth/password/forgot', (route) =>
      route.fulfill({
        status: 429,
        headers: { 'content-type': 'application/problem+json', 'retry-after': '840' },
        body: '{"code":"too_many_attempts"}',
      }),
    );
    await button(page, 'Forgot your password?').click();
    await page.getByLabel('E-mail address').fill(email);
    await button(page, 'Send a link').click();
    await page.getByRole('button', { name: /^Try again in 1[34]:\d\d$/ }).waitFor();
  });

  it('fits windows of 320, 390 and 1280 pixels without scrolling sideways, and has contrast in light and dark', async () => {
    const judgeLooks = async (page: Page): Promise<void> => {
      for (const width of [320, 390, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await contrastProblemsIn(page)).toEqual([]);
      }
    };
    const { page } = await signedIn();
    const address = `${'a'.repeat(60)}@${'b'.repeat(60)}.example`;
    await askForChange(page, address);
    await page.getByText('A mail with a code is on its way').waitFor();
    await judgeLooks(page);
    for (const purpose of ['registration', 'password_reset', 'email_change_undo', 'sign_in_code']) {
      const link = await openPage({ at: `/#${purpose}=xx1.token` });
      await button(link, 'Not now').waitFor();
      await judgeLooks(link);
    }
  });
});
