import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, CDPSession, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isChromiumInstalled, launchChromium } from './support/chromium.js';
import { contrastProblemsIn } from './support/contrast.js';
import { AuthenticatorApp } from './support/factors.js';
import { isInstalled } from './support/gateway-process.js';
import { ageSession } from './support/move-clock.js';
import { type SampleApplication, startSampleApplication } from './support/sample-application.js';
import type { Account } from './support/test-client.js';
import { useDatabase, useInstance } from './support/use-service.js';

const BUILD_DEADLINE_MS = 300_000;
/** Generous, because a story waits for a browser on a busy machine. */
const PATIENCE_MS = 20_000;

/** Browsers give passkeys to no page with a certificate that they do not know, and to `localhost` without one. */
const ORIGIN = 'http://localhost';
const CLIENT = fileURLToPath(new URL('../packages/client/dist/', import.meta.url));

const canRun = [isChromiumInstalled(), isInstalled('nginx', '-v')].every(Boolean);

/** The authenticator that Chromium has instead of a fingerprint reader. */
class VirtualAuthenticator {
  private constructor(
    private readonly devtools: CDPSession,
    private readonly authenticatorId: string,
  ) {}

  /** Answers every request of the page at once, as if its user had touched the sensor. */
  static async pluggedInto(page: Page, hasUserVerification: boolean): Promise<VirtualAuthenticator> {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification,
        isUserVerified: hasUserVerification,
        automaticPresenceSimulation: true,
        defaultBackupEligibility: true,
        defaultBackupState: true,
      },
    });
    return new VirtualAuthenticator(devtools, authenticatorId);
  }

  /** From now on it does not recognise its user. */
  async forgetUser(): Promise<void> {
    await this.devtools.send('WebAuthn.setUserVerified', {
      authenticatorId: this.authenticatorId,
      isUserVerified: false,
    });
  }

  async forgetPasskeys(): Promise<void> {
    await this.devtools.send('WebAuthn.clearCredentials', { authenticatorId: this.authenticatorId });
  }
}

/** What users do with second factors, in examples/spa. */
(canRun ? describe : describe.skip)('with second factors, the sample application in Chromium', () => {
  const settings = {
    JWT_ISSUER: ORIGIN,
    SECOND_FACTORS: 'on',
    TOTP_ISSUER: 'Toolroom',
    WEBAUTHN_RP_ID: 'localhost',
    WEBAUTHN_ORIGINS: ORIGIN,
  };
  const database = useDatabase();
  const service = useInstance(database, { ...settings, COOKIE_ORIGINS: ORIGIN });
  const tokenInstance = useInstance(database, settings);
  const instanceWithoutPasskeys = useInstance(database, {
    JWT_ISSUER: ORIGIN,
    SECOND_FACTORS: 'on',
    COOKIE_ORIGINS: ORIGIN,
  });
  let sample: SampleApplication;
  let browser: Browser;
  /** What a page has thrown, or its policy has refused. */
  const complaints: string[] = [];

  beforeAll(async () => {
    sample = await startSampleApplication(service, ORIGIN);
    browser = await launchChromium({ port: Number(new URL(sample.gateway.url).port) });
  }, BUILD_DEADLINE_MS);

  afterAll(async () => {
    await browser.close();
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

  interface Device {
    readonly page: Page;
    readonly authenticator: VirtualAuthenticator;
  }

  interface Setting {
    /** Whether fields offer passkeys: a virtual authenticator accepts the offer at once. */
    readonly hasAutofill?: boolean;
    /** Whether the authenticator can recognise its user. */
    readonly hasUserVerification?: boolean;
  }

  async function openDevice({ hasAutofill = false, hasUserVerification = true }: Setting = {}): Promise<Device> {
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports each answer of 4xx and 5xx there as well.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    if (!hasAutofill) {
      await page.addInitScript('PublicKeyCredential.isConditionalMediationAvailable = async () => false');
    }
    const authenticator = await VirtualAuthenticator.pluggedInto(page, hasUserVerification);
    await page.goto(ORIGIN);
    return { page, authenticator };
  }

  const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
  const heading = (page: Page, name: string): Locator => page.getByRole('heading', { name, exact: true });
  const welcome = (page: Page): Locator => heading(page, 'Welcome');

  async function signIn(page: Page, { email, password }: Pick<Account, 'email' | 'password'>): Promise<void> {
    await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button(page, 'Sign in').click();
  }

  async function signOut(page: Page): Promise<void> {
    await button(page, 'Sign out').click();
    await heading(page, 'Sign in').waitFor();
  }

  async function signedIn(setting: Setting = {}): Promise<Device & { account: Account }> {
    const account = await service.client.signUp();
    const device = await openDevice(setting);
    await signIn(device.page, account);
    await welcome(device.page).waitFor();
    return { ...device, account };
  }

  const typeCode = async (page: Page, code: string, label = 'Code of the app'): Promise<void> => {
    await page.getByLabel(label).fill(code);
    await button(page, 'Go on').click();
  };

  const otherThan = (code: string): string => String((Number(code) + 500_000) % 1_000_000).padStart(6, '0');

  /** Adds an authenticator app by what the page shows. */
  async function addApp(page: Page): Promise<{ app: AuthenticatorApp; codes: readonly string[] }> {
    await button(page, 'Add an authenticator app').click();
    await page.getByRole('img', { name: 'The key as a QR code' }).waitFor();
    const key = await page.getByText(/^Key: /).innerText();
    const app = new AuthenticatorApp(key.replace(/^Key:|\s/g, ''), database);
    await page.getByLabel('Code of the app').fill(await app.code());
    await button(page, 'Confirm').click();
    return { app, codes: await savedCodes(page) };
  }

  /** A code that is not of the step of the last one. */
  async function nextCode(app: AuthenticatorApp, { id }: Account): Promise<string> {
    await database.sql('update totp_factors set last_step = 0 where user_id = $1', [id]);
    return app.code();
  }

  async function savedCodes(page: Page): Promise<readonly string[]> {
    await button(page, 'I have saved them').waitFor();
    const codes = await page.locator('.codes code').allInnerTexts();
    await button(page, 'I have saved them').click();
    return codes;
  }

  async function addPasskey(page: Page, name: string): Promise<void> {
    await button(page, 'Add a passkey').click();
    await page.getByLabel('Name').fill(name);
    await button(page, 'Create a passkey').click();
  }

  async function ageSessionsOf({ id }: Account): Promise<void> {
    const sessions = await database.sql<{ id: string }>('select id from refresh_token_families where user_id = $1', [
      id,
    ]);
    for (const session of sessions) {
      await ageSession(database, session.id, 400);
    }
  }

  it('adds an authenticator app, and asks for its code, or a recovery code, at the next sign-in', async () => {
    const { page, account } = await signedIn();
    const { app, codes } = await addApp(page);
    expect(new Set(codes).size).toBe(10);
    await page.getByText('10 are left').waitFor();
    expect(await page.locator('.codes').count()).toBe(0);

    await signOut(page);
    await signIn(page, account);
    await heading(page, 'One more step').waitFor();
    const code = await nextCode(app, account);
    await typeCode(page, otherThan(code));
    await page.getByText('This code is not right, or was used already.').waitFor();
    expect(await page.evaluate('document.activeElement.name')).toBe('code');
    await typeCode(page, `${code.slice(0, 3)} ${code.slice(3)}`);
    await welcome(page).waitFor();

    for (const [attempt, end] of [
      [1, welcome(page)],
      [2, page.getByText('This code is not right, or was used already.')],
    ] as const) {
      await signOut(page);
      await signIn(page, account);
      await button(page, 'Use a recovery code').click();
      await typeCode(page, ` ${(codes[0] ?? '').toLowerCase()} `, 'Recovery code');
      await end.waitFor();
      if (attempt === 1) {
        await page.getByText('9 are left').waitFor();
      } else {
        await button(page, 'Start again').click();
        await heading(page, 'Sign in').waitFor();
      }
    }
  });

  it('adds a passkey, which signs in alone, and as the second step after the password', async () => {
    const { page, account } = await signedIn();
    await addPasskey(page, 'Phone of Ada');
    expect((await savedCodes(page)).length).toBe(10);
    await page.getByText('Phone of Ada', { exact: true }).waitFor();
    await page.getByText('Passkey · synchronised').waitFor();
    await addPasskey(page, 'The same again');
    await page.getByText('This device has a passkey of your account already.').waitFor();
    await button(page, 'Cancel').click();

    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText(`Signed in as ${account.email}`).waitFor();
    await page.reload();
    await page.getByText(`Signed in as ${account.email}`).waitFor();

    await signOut(page);
    await signIn(page, account);
    await heading(page, 'One more step').waitFor();
    await button(page, 'Use a passkey').click();
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('signs in by the passkey that the browser offers at the field for the address', async () => {
    const { page, account } = await signedIn({ hasAutofill: true });
    await addPasskey(page, 'Phone of Ada');
    await savedCodes(page);
    // The virtual authenticator accepts what the browser offers, without a click.
    const accepted = page.waitForResponse('**/auth/login/passkey');
    await button(page, 'Sign out').click();
    expect((await accepted).status()).toBe(200);
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('goes on with the password when the browser has offered passkeys and none was chosen', async () => {
    const { page, account } = await signedIn({ hasAutofill: true });
    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('No passkey was used.').waitFor();
    await signIn(page, account);
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('takes a passkey alone only when the device has recognised its user', async () => {
    const { page, authenticator } = await signedIn();
    await addPasskey(page, 'Phone of Ada');
    await savedCodes(page);
    await signOut(page);
    await authenticator.forgetUser();
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('No passkey was used.').waitFor();
  });

  it('takes a key that cannot recognise its user as a second step, and not alone', async () => {
    const { page, account } = await signedIn({ hasUserVerification: false });
    await addPasskey(page, 'Key of Ada');
    await savedCodes(page);
    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('No passkey was used.').waitFor();
    await signIn(page, account);
    await button(page, 'Use a passkey').click();
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('refuses a passkey that was removed here, and says when the device has none any more', async () => {
    const { page, authenticator, account } = await signedIn();
    await addPasskey(page, 'Phone of Ada');
    await savedCodes(page);
    await button(page, 'Remove the passkey Phone of Ada').click();
    await page.getByText('The passkey “Phone of Ada” is removed here.').waitFor();
    await page.getByText('Only your password protects your account.').waitFor();
    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('This passkey does not belong to an account here').waitFor();
    await authenticator.forgetPasskeys();
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('No passkey was used.').waitFor();
    await signIn(page, account);
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('renames a passkey, and asks an old session for a factor before it removes one or renews the codes', async () => {
    const { page, account } = await signedIn();
    const { app, codes } = await addApp(page);
    await addPasskey(page, 'Phone of Ada');
    await button(page, 'Rename the passkey Phone of Ada').click();
    await page.getByLabel('Name').fill('Old phone');
    await button(page, 'Rename').click();
    await page.getByText('The passkey is called “Old phone” now.').waitFor();

    const dialog = page.getByRole('dialog', { name: 'Is it you?' });
    await ageSessionsOf(account);
    await page.reload();
    await button(page, 'Remove the passkey Old phone').click();
    await dialog.waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('Old phone', { exact: true }).waitFor();
    await button(page, 'Remove the passkey Old phone').click();
    await button(page, 'Use a passkey').click();
    await page.getByText('The passkey “Old phone” is removed here.').waitFor();

    await ageSessionsOf(account);
    await page.reload();
    await button(page, 'Renew the recovery codes').click();
    const code = await nextCode(app, account);
    await typeCode(page, otherThan(code));
    await page.getByText('This code is not right, or was used already.').waitFor();
    await typeCode(page, code);
    const renewed = await savedCodes(page);
    expect(renewed).toHaveLength(10);
    expect(renewed.filter((each) => codes.includes(each))).toEqual([]);

    await button(page, 'Remove the authenticator app').click();
    await page.getByText('The authenticator app is removed.').waitFor();
    await signOut(page);
    await signIn(page, account);
    await page.getByText(`Signed in as ${account.email}`).waitFor();
  });

  it('asks an old session without factors for the password before it adds one, and ends the other sessions', async () => {
    const { page, account } = await signedIn();
    const other = await openDevice();
    await signIn(other.page, account);
    await welcome(other.page).waitFor();
    await ageSessionsOf(account);
    await page.reload();
    await button(page, 'Add an authenticator app').click();
    await page.getByRole('dialog').getByLabel('Password', { exact: true }).fill('not the password');
    await button(page, 'Go on').click();
    await page.getByText('The e-mail address or the password is not right.').waitFor();
    await page.getByRole('dialog').getByLabel('Password', { exact: true }).fill(account.password);
    await button(page, 'Go on').click();
    const key = await page.getByText(/^Key: /).innerText();
    await page
      .getByLabel('Code of the app')
      .fill(await new AuthenticatorApp(key.replace(/^Key:|\s/g, ''), database).code());
    await button(page, 'Confirm').click();
    await savedCodes(page);
    await button(other.page, 'Reload the orders').click();
    await heading(other.page, 'Sign in').waitFor();
  });

  it('offers no passkeys where the service has none', async () => {
    sample.toService.targets = [instanceWithoutPasskeys.url];
    const { page, account } = await signedIn();
    await signOut(page);
    await button(page, 'Sign in with a passkey').click();
    await page.getByText('This service has no passkeys.').waitFor();
    expect(await button(page, 'Sign in with a passkey').count()).toBe(0);
    await signIn(page, account);
    await button(page, 'Add an authenticator app').waitFor();
  });

  it('fits windows of 320, 390 and 1280 pixels without scrolling sideways, and has contrast in light and dark', async () => {
    const { page } = await signedIn();
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
    await button(page, 'Add an authenticator app').click();
    await page.getByText(/^Key: /).waitFor();
    await judgeLooks();
    await button(page, 'Cancel').click();
    await addPasskey(page, 'M'.repeat(60));
    await button(page, 'I have saved them').waitFor();
    await judgeLooks();
    await button(page, 'I have saved them').click();
    await page.getByText('Passkey · synchronised').waitFor();
    await judgeLooks();
  });

  it('has a client that signs in by passkey and by code, and steps up, in token mode', async () => {
    sample.toService.targets = [tokenInstance.url];
    const account = await tokenInstance.client.signUp();
    const { page } = await openDevice();
    // Another path of the same origin: the policy of the application allows no script of a test.
    await page.route(`${ORIGIN}/page`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.route(`${ORIGIN}/client/*.js`, async (route) => {
      const name = basename(new URL(route.request().url()).pathname);
      await route.fulfill({ contentType: 'text/javascript', body: await readFile(join(CLIENT, name), 'utf8') });
    });
    const load = `(async () => {
      const [{ createClient }, factors, passkeys] = await Promise.all(
        ['index', 'factors', 'passkeys'].map((name) => import('/client/' + name + '.js')),
      );
      const client = createClient({ baseUrl: '/', mode: 'token' });
      Object.assign(globalThis, {
        client,
        factors: factors.createFactors(client),
        passkeys: passkeys.createPasskeys(client),
        secondFactorIn: factors.secondFactorIn,
        withStepUp: factors.withStepUp,
      });
    })()`;
    await page.goto(`${ORIGIN}/page`);
    await page.evaluate(load);
    const run = <T>(script: string): Promise<T> => page.evaluate(`(async () => { ${script} })()`);
    const credentials = JSON.stringify({ email: account.email, password: account.password });

    await run(`await client.signIn(${credentials})`);
    const { secret } = await run<{ secret: string }>('return factors.beginTotp()');
    const app = new AuthenticatorApp(secret, database);
    expect(await run(`return factors.confirmTotp({ totp: '${await app.code()}' })`)).toHaveLength(10);
    expect(await run(`return passkeys.register({ name: 'Phone' })`)).toMatchObject({
      passkey: { name: 'Phone', isBackedUp: true },
      recoveryCodes: [],
    });
    expect(await run('return factors.list()')).toMatchObject({
      totp: {},
      passkeys: [{ name: 'Phone' }],
      recoveryCodesLeft: 10,
    });

    const claims = (): Promise<Record<string, unknown>> =>
      run(`return JSON.parse(atob((await client.accessToken()).split('.')[1].replace(/-/g, '+').replace(/_/g, '/')))`);
    const begin = `await client.signOut();
      const pending = secondFactorIn(await client.signIn(${credentials}).catch((error) => error));`;
    await run(
      `${begin} await factors.completeSignIn({ ticket: pending.ticket, totp: '${await nextCode(app, account)}' })`,
    );
    expect(await claims()).toMatchObject({ acr: 'aal2' });
    await ageSessionsOf(account);
    // A page that finds no access token gets another, which says how old the sign-in is.
    await page.evaluate(`const { access_token, ...record } = JSON.parse(Object.values(localStorage)[0]);
      localStorage[Object.keys(localStorage)[0]] = JSON.stringify(record);`);
    await page.reload();
    await page.evaluate(load);
    const before = (await claims())['sid'];
    await run(`await withStepUp(() => factors.renewRecoveryCodes(), () => passkeys.stepUp())`);
    expect(await claims()).toMatchObject({ acr: 'phr', sid: before });
    await run(`${begin} await passkeys.completeSignIn(pending)`);
    expect(await claims()).toMatchObject({ acr: 'phr' });
    await run('await client.signOut(); await passkeys.signIn()');
    expect(await claims()).toMatchObject({ acr: 'phr', amr: ['pop', 'user', 'mfa'] });
  });
});
