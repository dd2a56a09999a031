import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isChromiumInstalled, useChromium } from './support/chromium.js';
import { eventually } from './support/eventually.js';
import { makeScratchFolder } from './support/gateway-process.js';
import { MAIL_ON } from './support/mail-on.js';
import { OutgoingMails } from './support/outgoing-mails.js';
import { runCommand } from './support/run-command.js';
import { type Account, newPassword } from './support/test-client.js';
import { startTlsFront, type Answering, type TlsFront } from './support/tls-front.js';
import { useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const CLIENT = join(CHECKOUT, 'packages/client');
const TOOLS = join(CHECKOUT, 'test/page-tools');
const PREPARATION_DEADLINE_MS = 180_000;
const DEADLINE_MS = 20_000;

/** The origins of the README, and the page that uses them. */
const AUTH_ORIGIN = 'https://auth.example.com';
const API_HOST = 'api.example.com';
const APP_ORIGIN = 'https://app.example.com';

/** Each begins with a comment that names it. Blocks of commands are `sh`. */
const FILES = ['orders.js', 'session.js', 'app.jsx', 'use-session.js', 'App.vue', 'index.html', 'account.html'];

/** What the README leaves to the framework's own: how a page starts its first component. */
const STARTS = {
  'react.jsx': `import { StrictMode } from 'react';
    import { createRoot } from 'react-dom/client';
    import { App } from './app.jsx';
    createRoot(document.body.appendChild(document.createElement('main'))).render(<StrictMode><App /></StrictMode>);`,
  'vue.js': `import { createApp } from 'vue';
    import App from './App.js';
    createApp(App).mount(document.body.appendChild(document.createElement('main')));`,
};

interface VueCompiler {
  parse(text: string): { readonly descriptor: object; readonly errors: readonly Error[] };
  compileScript(descriptor: object, options: object): { readonly content: string };
}

/** As a reader has them: in one folder, with the packages installed. */
describe.skipIf(!isChromiumInstalled())("the files of the client's README", () => {
  const { database, service } = useService({
    ...MAIL_ON,
    JWT_ISSUER: AUTH_ORIGIN,
    COOKIE_ORIGINS: APP_ORIGIN,
    EMAIL_SIGN_IN: 'on',
  });
  const mails = new OutgoingMails(database, service);
  const blocks = new Map<string, string>();
  const pages = new Map<string, Answering>();
  const toolRequire = createRequire(join(TOOLS, 'package.json'));
  let front: TlsFront;
  let context: BrowserContext;
  /** What pages have thrown or complained of. */
  const complaints: string[] = [];

  beforeAll(async () => {
    const markdown = await readFile(join(CLIENT, 'README.md'), 'utf8');
    const found = [...markdown.matchAll(/^```(?!sh)\w+\n(?:\/\/|<!--) (\S+)(?: -->)?\n([^]*?)^```$/gm)];
    expect(markdown.match(/^```(?!sh)\w+$/gm)).toHaveLength(found.length);
    for (const [, name = '', text = ''] of found) {
      blocks.set(name, text);
    }

    await installTools();
    const folder = await makeScratchFolder('client-readme');
    await mkdir(join(folder, 'node_modules/@ratchet'), { recursive: true });
    await symlink(CLIENT, join(folder, 'node_modules/@ratchet/client'));
    for (const name of ['react', 'react-dom', 'vue']) {
      await symlink(join(TOOLS, 'node_modules', name), join(folder, 'node_modules', name));
    }
    const compiler = toolRequire('vue/compiler-sfc') as VueCompiler;
    const { descriptor, errors } = compiler.parse(blocks.get('App.vue') ?? '');
    expect(errors).toEqual([]);
    const compiled = compiler.compileScript(descriptor, { id: 'app', inlineTemplate: true }).content;
    for (const [name, text] of [...blocks, ...Object.entries(STARTS), ['App.js', compiled] as const]) {
      await writeFile(join(folder, name), text);
    }
    for (const name of ['orders.js', ...Object.keys(STARTS)]) {
      const [page, script] = [`/${name.replace(/\..*/, '')}`, `/bundles/${name}`];
      pages.set(page, { body: `<!doctype html><body><script type="module" src="${script}"></script>` });
      pages.set(script, javascript(await bundle(join(folder, name))));
    }
    pages.set('/plain', { body: blocks.get('index.html') ?? '' });
    pages.set('/account', { body: blocks.get('account.html') ?? '' });
    pages.set('/session.js', javascript(blocks.get('session.js') ?? ''));
    for (const name of await readdir(join(CLIENT, 'dist'))) {
      if (name.endsWith('.js')) {
        pages.set(`/ratchet-client/${name}`, javascript(await readFile(join(CLIENT, 'dist', name), 'utf8')));
      }
    }

    front = await startTlsFront((host, target) => {
      if (`https://${host}` === AUTH_ORIGIN) {
        return service.url;
      }
      const headers = { 'access-control-allow-origin': APP_ORIGIN, 'access-control-allow-headers': 'authorization' };
      return host === API_HOST ? { headers, body: '[]' } : (pages.get(target) ?? { status: 404 });
    });
  }, PREPARATION_DEADLINE_MS);
  afterAll(() => front.stop());
  const chromium = useChromium(() => front);

  beforeEach(async () => {
    complaints.length = 0;
    context = await chromium.newContext();
    return async () => {
      await context.close();
      expect(complaints).toEqual([]);
    };
  });

  async function openPage(name: string): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports each answer of 4xx there as well.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    await page.goto(`${APP_ORIGIN}/${name}`);
    return page;
  }

  async function signIn(page: Page, { email, password }: Pick<Account, 'email' | 'password'>): Promise<void> {
    await page.fill('[name=email]', email);
    await page.fill('[name=password]', password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  it('are all used here', () => {
    expect([...blocks.keys()]).toEqual(FILES);
  });

  it('sign in and ask an API with the access token, from a page', async () => {
    const [, email = '', password = ''] = /email: '(.*)', password: '(.*)'/.exec(blocks.get('orders.js') ?? '') ?? [];
    const registered = await fetch(`${service.url}/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
    expect(registered.status).toBe(201);
    await openPage('orders');
    const asked = (): unknown => front.received.find(({ host, method }) => host === API_HOST && method === 'GET');
    await eventually(() => asked() !== undefined, { withinMs: DEADLINE_MS });
    const token = expect.stringMatching(/^Bearer ey/) as unknown;
    expect(asked()).toMatchObject({ url: '/orders', rawHeaders: expect.arrayContaining([token]) as unknown });
  });

  it.each([
    ['React', 'react'],
    ['Vue', 'vue'],
    ['a page without a framework', 'plain'],
  ])('show with %s who is signed in, from the first visit to the sign-out', async (_name, path) => {
    const [ada, grace] = [await service.client.signUp(), await service.client.signUp()];
    const page = await openPage(path);
    await signIn(page, { ...ada, password: grace.password });
    await page.getByText('invalid_credentials').waitFor();
    await signIn(page, ada);
    await page.getByText(`Signed in as ${ada.email}`).waitFor();
    expect(await page.getByRole('alert').textContent()).toBe('');
    await page.reload();
    await page.getByText(`Signed in as ${ada.email}`).waitFor();

    const other = await openPage(path);
    await other.getByText(`Signed in as ${ada.email}`).waitFor();
    await other.getByRole('button', { name: 'Sign out' }).click();
    await signIn(other, grace);
    await page.getByText(`Signed in as ${grace.email}`).waitFor();

    await page.getByRole('button', { name: 'Sign out' }).click();
    for (const each of [page, other]) {
      await each.getByRole('button', { name: 'Sign in' }).waitFor();
      expect(await each.getByText('Signed in as').isVisible()).toBe(false);
    }
  });

  it('take what a link of a mail is for only when its button is pressed, and keep its token in no address', async () => {
    const ada = await service.client.signUp();
    const linkOf = async (path: string, purpose: string, body: object): Promise<string> => {
      expect((await service.client.post(path, body)).status).toBe(202);
      return `account#${purpose}=${(await mails.last(ada.email, purpose)).token}`;
    };
    const sent = (path: string): unknown[] =>
      front.received.filter(({ method, url }) => method === 'POST' && url === path);
    const page = await openPage(await linkOf('/auth/password/forgot', 'password_reset', { email: ada.email }));
    const setPassword = page.getByRole('button', { name: 'Set new password' });
    await setPassword.waitFor();
    expect(page.url()).toBe(`${APP_ORIGIN}/account`);
    expect(sent('/auth/password/reset')).toHaveLength(0);
    await page.fill('[name=password]', 'short');
    await setPassword.click();
    await page.getByText('validation_failed').waitFor();
    const password = newPassword();
    await page.fill('[name=password]', password);
    await setPassword.click();
    await page.getByText('Done').waitFor();
    expect(sent('/auth/password/reset')).toHaveLength(2);
    expect((await service.client.login({ email: ada.email, password })).status).toBe(200);

    // A link that is opened in a tab that shows the page already loads nothing.
    await page.goto(`${APP_ORIGIN}/${await linkOf('/auth/email-code', 'sign_in_code', { email: ada.email })}`);
    const signInButton = page.getByRole('button', { name: 'Sign in' });
    await signInButton.waitFor();
    expect(page.url()).toBe(`${APP_ORIGIN}/account`);
    expect(await page.getByRole('textbox').isVisible()).toBe(false);
    await signInButton.click();
    await page.getByText('Done').waitFor();
    expect(sent('/auth/login/email-code')).toHaveLength(1);

    const plain = await openPage('plain');
    await plain.getByText(`Signed in as ${ada.email}`).waitFor();
  });

  it('may put the client into what Vue makes a proxy of', async () => {
    const { reactive, ref } = toolRequire('vue') as Record<'reactive' | 'ref', <T>(value: T) => T & { value: T }>;
    const { createClient } = await import('@ratchet/client');
    const client = createClient({ baseUrl: service.url, mode: 'token' });
    expect([reactive({ client }).client.state, ref(client).value.state]).toEqual(['signed_out', 'signed_out']);
    client.dispose();
  });
});

/** Registries and their certificates are the machine's. */
async function installTools(): Promise<void> {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const { exitCode, stderr } = await runCommand('node', ['scripts/install-if-needed.mjs', 'test/page-tools'], {
    workingDirectory: CHECKOUT,
    environment,
    withinMs: PREPARATION_DEADLINE_MS,
  });
  expect(exitCode, stderr).toBe(0);
}

async function bundle(input: string): Promise<string> {
  const bundled = await rolldown({
    input,
    platform: 'browser',
    // React's strict mode exists in development only.
    transform: { define: { 'process.env.NODE_ENV': '"development"' } },
  });
  const { output } = await bundled.generate({ format: 'esm' });
  expect(output).toHaveLength(1);
  return output[0].code;
}

function javascript(body: string): Answering {
  return { headers: { 'content-type': 'text/javascript' }, body };
}
