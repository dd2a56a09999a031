import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateSync } from 'otplib';
import {
  connectRatchet,
  type Namespace,
  type SessionOptions,
  type StartedRatchet,
  startRatchet,
} from '@ratchet/testing';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { makeScratchFolder } from './support/gateway-process.js';
import { RunningCommand } from './support/run-command.js';
import { testRun } from './support/test-run.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const VARIABLES = ['RATCHET_URL', 'RATCHET_TEST_URL', 'JWT_ISSUER', 'JWT_AUDIENCE'];

/** On a machine that runs other tests at the same time. */
const LONGEST_END_MS = 15_000;

function environment(): Record<string, string | undefined> {
  return Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
}

describe('the client of the test kit', () => {
  const before = environment();
  const server = process.env['TEST_DATABASE_URL'];
  let ratchet: StartedRatchet;
  let ns: Namespace;

  beforeAll(async () => {
    // The server of the whole run, which is quicker than one of its own.
    process.env['TEST_DATABASE_URL'] = testRun().serverUrl;
    ratchet = await startRatchet({ config: { ACCESS_TOKEN_TTL_SECONDS: '60', JWT_AUDIENCE: 'orders' } });
    ns = await connectRatchet().namespace('client');
  });

  beforeEach(() => ns.reset());

  afterAll(async () => {
    await ratchet.stop();
    await ratchet.stop();
    expect(environment()).toEqual(before);
    process.env['TEST_DATABASE_URL'] = server ?? '';
  });

  /** As the application of another team asks. */
  async function refresh(
    refreshToken: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly status: number; readonly code?: string; readonly refresh_token?: string }> {
    const response = await fetch(`${ns.url}/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ refresh_token: refreshToken }),
    });
    return { ...((await response.json()) as object), status: response.status };
  }

  async function codeOf(accessToken: string): Promise<string | undefined> {
    const response = await fetch(`${ns.url}/auth/me`, { headers: { authorization: `Bearer ${accessToken}` } });
    return response.status === 200 ? 'good' : ((await response.json()) as { readonly code?: string }).code;
  }

  it('sets the addresses, the issuer and the audience in the environment', async () => {
    const { url, testUrl, issuer, audience } = ratchet;
    expect(environment()).toEqual({
      RATCHET_URL: url,
      RATCHET_TEST_URL: testUrl,
      JWT_ISSUER: issuer,
      JWT_AUDIENCE: audience,
    });
    expect({ testUrl, issuer, audience }).toEqual({ testUrl: `${url}/test`, issuer: url, audience: 'orders' });
    expect((await connectRatchet().health()).namespaces).toEqual(expect.arrayContaining(['main', 'client']));
  });

  it('finds a namespace again by its name, and drops it', async () => {
    const first = await connectRatchet().namespace('passing', { config: { ACCESS_TOKEN_TTL_SECONDS: '30' } });
    const user = await first.user();
    expect((await user.signIn()).expiresInSeconds).toBe(30);
    const again = await connectRatchet().namespace('passing');
    expect(again).toMatchObject({
      name: 'passing',
      url: `${ratchet.url}/ns/passing`,
      issuer: `${ratchet.url}/ns/passing`,
      audience: 'orders',
      jwksUrl: `${ratchet.url}/ns/passing/.well-known/jwks.json`,
    });
    expect((await again.signIn(user)).expiresInSeconds).toBe(30);
    await first.drop();
    await expect(again.reset()).rejects.toMatchObject({ status: 404 });
  });

  it('makes users as they are asked for, who sign in by themselves', async () => {
    const ada = await ns.user({ email: 'Ada@example.com', roles: ['admin'] });
    expect(ada).toMatchObject({ email: 'ada@example.com', roles: ['admin'], status: 'active' });
    const pair = await ada.signIn();
    expect(pair).toMatchObject({ expiresInSeconds: 60, refreshExpiresInSeconds: 1_209_600 });
    expect(await codeOf(pair.accessToken)).toBe('good');
    const disabled = await ns.user({ status: 'disabled', password: 'a password of its own' });
    await expect(disabled.signIn()).rejects.toMatchObject({ code: 'account_disabled', status: 403 });
    expect(new Set((await ns.users(20)).map(({ id, email }) => `${id} ${email}`)).size).toBe(20);
  });

  it('makes users with an authenticator app, who sign in with it as often as they like', async () => {
    const grace = await ns.user({ totp: true });
    const methods = async (): Promise<unknown> => {
      const { accessToken } = await grace.signIn();
      return JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString());
    };
    expect(await methods()).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    expect(await methods()).toMatchObject({ acr: 'aal2' });
    expect(grace.totp?.secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(new Set(grace.totp?.recoveryCodes).size).toBe(10);
    expect((await ns.token({ user: grace })).claims).toMatchObject({ acr: 'aal2' });
    // Without the id the kit does not know whose app it is: the test takes the second step itself, as a page does.
    const refused = ns.signIn({ email: grace.email, password: grace.password });
    await expect(refused).rejects.toMatchObject({ status: 403, code: 'second_factor_required' });
    expect((await ns.user()).totp).toBeUndefined();
  });

  it('shows the code of an app by the clock of the namespace, also of one that was added on a page', async () => {
    const ada = await ns.user();
    await expect(ns.totp(ada)).rejects.toMatchObject({ status: 404, code: 'totp_unknown' });
    await ns.clock.freeze('2031-02-03T04:05:06Z');
    const { accessToken } = await ada.signIn();
    const post = async (path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
      const response = await fetch(`${ns.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${accessToken}` },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const begun = await post('/auth/totp', {});
    const code = await ns.totp(ada);
    expect(code).toBe(
      generateSync({ secret: String(begun.body['secret']), epoch: Date.UTC(2031, 1, 3, 4, 5, 6) / 1_000 }),
    );
    const confirmed = await post('/auth/totp/confirm', { totp: code });
    expect(confirmed).toMatchObject({ status: 200, body: { recovery_codes: expect.any(Array) } });
    expect((await ada.signIn()).sessionId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('makes no app where the namespace has second factors off, and says so', async () => {
    const off = await connectRatchet().namespace('factors-off', { config: { SECOND_FACTORS: 'off' } });
    await expect(off.user({ totp: true })).rejects.toMatchObject({ status: 409, code: 'second_factors_off' });
    await off.drop();
  });

  it('makes access tokens that the service answers as documented', async () => {
    const user = await ns.user();
    const { accessToken, claims } = await ns.token({ user });
    expect(claims).toMatchObject({ sub: user.id, iss: ns.issuer, aud: 'orders' });
    expect(await codeOf(accessToken)).toBe('good');
    expect((await ns.token({ roles: ['admin'] })).claims.roles).toEqual(['admin']);
    const codes = [];
    for (const options of [{ expired: true }, { session: 'ended' }, { signature: 'unknown-key' }] as const) {
      codes.push(await codeOf((await ns.token({ user: user.id, ...options })).accessToken));
    }
    expect(codes).toEqual(['access_token_expired', 'access_token_revoked', 'access_token_invalid']);
  });

  it.each<[NonNullable<SessionOptions['state']>, string | undefined]>([
    ['live', undefined],
    ['ended', 'session_revoked'],
    ['reused', 'refresh_token_reused'],
    ['expired', 'session_expired'],
    ['idle_expired', 'session_expired'],
  ])('makes a session that is %s, whose refresh is answered with the code %s', async (state, code) => {
    const { refreshToken, sessionId } = await ns.session({ user: await ns.user(), state });
    expect(sessionId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await refresh(refreshToken)).code).toBe(code);
  });

  it('moves, freezes and resets the clock', async () => {
    const { refreshToken } = await ns.session();
    const start = Date.now();
    const later = await ns.clock.advance('31 days');
    expect(later.getTime()).toBeGreaterThanOrEqual(start + 31 * 86_400_000);
    expect((await refresh(refreshToken)).code).toBe('session_expired');
    const frozen = await ns.clock.freeze('2031-02-03T04:05:06Z');
    expect([frozen, await ns.clock.now()]).toEqual(Array(2).fill(new Date('2031-02-03T04:05:06Z')));
    expect((await ns.token()).claims.iat).toBe(frozen.getTime() / 1000);
    const still = await ns.clock.freeze();
    expect(still).toEqual(frozen);
    expect((await ns.clock.reset()).getTime() - start).toBeLessThan(60_000);
  });

  it('loses the answer to a refresh, whose repetition with the same key gets the successor', async () => {
    const { refreshToken } = await ns.session();
    const fault = await ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
    const headers = { 'idempotency-key': 'a-key-of-the-client-of-this-test' };
    await expect(refresh(refreshToken, headers)).rejects.toThrow('fetch failed');
    expect(await fault.hits()).toBe(1);
    expect(await refresh(refreshToken, headers)).toMatchObject({ status: 200 });
    expect(await fault.hits()).toBe(1);
    await fault.remove();
    await fault.remove();
  });

  it('answers as an outage does, and slowly', async () => {
    await ns.fault({ path: '/auth/*', status: 503, retryAfterSeconds: 7, delayMs: 20, skip: 1 });
    const statuses = [];
    for (let asked = 0; asked < 2; asked += 1) {
      const response = await fetch(`${ns.url}/auth/me`);
      statuses.push([response.status, response.headers.get('retry-after')]);
    }
    expect(statuses).toEqual([
      [401, null],
      [503, '7'],
    ]);
  });

  it('returns the requests that came, without what was in them', async () => {
    const user = await ns.user();
    const { sessionId } = await user.signIn();
    await fetch(`${ns.url}/auth/me?token=secret`);
    expect(await ns.requests({ path: '/auth/*' })).toEqual([
      {
        at: expect.any(Date),
        method: 'POST',
        path: '/auth/login',
        status: 200,
        requestId: expect.any(String),
        userId: user.id,
        sessionId,
      },
      {
        at: expect.any(Date),
        method: 'GET',
        path: '/auth/me',
        status: 401,
        code: 'access_token_missing',
        requestId: expect.any(String),
      },
    ]);
    await ns.reset();
    expect(await ns.requests()).toEqual([]);
  });

  it('returns each mail once, to the user who is asked for, and names those that there are when none comes', async () => {
    const signsInByMail = await connectRatchet().namespace('mails', { config: { EMAIL_SIGN_IN: 'on' } });
    const post = (path: string, body: object): Promise<Response> =>
      fetch(`${signsInByMail.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const [ada, grace] = await signsInByMail.users(2);
    await post('/auth/password/forgot', { email: grace!.email });
    const { ticket } = (await (await post('/auth/email-code', { email: ada!.email })).json()) as { ticket: string };
    const mail = await signsInByMail.outbox.next({ to: ada! });
    expect(mail).toMatchObject({ to: ada!.email, at: expect.any(Date) });
    expect((await post('/auth/login/email-code', { ticket, code: mail.codes[0] })).status).toBe(200);
    expect(await signsInByMail.outbox.next()).toMatchObject({ to: grace!.email, codes: [] });
    await expect(signsInByMail.outbox.next({ to: 'alan@example.com', withinMs: 50 })).rejects.toMatchObject({
      code: 'no_mail',
      message: expect.stringContaining(`to ${grace!.email}`),
    });
    expect((await signsInByMail.outbox.list({ to: grace! })).map(({ to }) => to)).toEqual([grace!.email]);
    await signsInByMail.drop();
  });

  it('rotates the keys, at once by force', async () => {
    const { kid, status } = await ns.keys.rotate({ force: true });
    expect(status).toBe('active');
    const { accessToken } = await ns.token();
    expect(Buffer.from(accessToken.split('.')[0] ?? '', 'base64url').toString()).toContain(kid);
    expect((await ns.keys.rotate()).status).toBe('next');
  });

  it('says what is wrong with an impossible state', async () => {
    await expect(ns.session({ state: 'reused', generation: 1 })).rejects.toMatchObject({ status: 400 });
    await expect(ns.session({ user: '1ad86469-cbef-47bc-9a9b-aad8f1f47c2b' })).rejects.toMatchObject({
      status: 404,
      code: 'user_unknown',
    });
    await expect(connectRatchet().namespace('No name')).rejects.toMatchObject({ code: 'validation_failed' });
  });

  // Four hundred tests: the time is for a machine that does other things as well.
  it(
    'gives four workers with a hundred tests each a Ratchet that no other of them touches',
    { timeout: 180_000 },
    async () => {
      const email = 'ada@example.com';
      const worker = async (number: number): Promise<number> => {
        const own = await connectRatchet().namespace(`w${number}`);
        let passed = 0;
        for (let test = 0; test < 100; test += 1) {
          await own.reset();
          const user = await own.user({ email, roles: [`w${number}`] });
          // Each worker is at another time in every fourth test, and at the real one in the others.
          const hours = test % 4 === number % 4 ? number : 0;
          const now = hours > 0 ? await own.clock.freeze(new Date(Date.now() + hours * 3_600_000)) : new Date();
          const { accessToken, claims } = await own.token({ user });
          const response = await fetch(`${own.url}/auth/me`, { headers: { authorization: `Bearer ${accessToken}` } });
          expect(await response.json()).toMatchObject({ id: user.id, email, roles: [`w${number}`] });
          expect(Math.abs(claims.iat - now.getTime() / 1000)).toBeLessThan(hours > 0 ? 1 : 1_800);
          expect((await own.requests()).map(({ userId }) => userId)).toEqual([user.id]);
          passed += 1;
        }
        return passed;
      };
      expect(await Promise.all([1, 2, 3, 4].map(worker))).toEqual([100, 100, 100, 100]);
    },
  );

  it('starts nothing for a whole run of tests when RATCHET_TEST_URL names a runner', async () => {
    const load = createRequire(import.meta.url);
    const provided: unknown[] = [];
    await (load('@ratchet/testing/jest') as () => Promise<void>)();
    await (load('@ratchet/testing/jest-teardown') as () => Promise<void>)();
    const vitest = load('@ratchet/testing/vitest') as (project: object) => Promise<() => Promise<void>>;
    await (
      await vitest({ provide: (...given: unknown[]) => provided.push(given) })
    )();
    const { url, testUrl, issuer, audience } = ratchet;
    expect(provided).toEqual([['ratchet', { url, testUrl, issuer, audience }]]);
    await (
      await (load('@ratchet/testing/playwright') as () => Promise<() => Promise<void>>)()
    )();
    expect((await connectRatchet().health()).namespaces).toContain('main');
  });

  it('says why a runner has not started', async () => {
    const restored = environment();
    await expect(startRatchet({ config: { NOPE: '1' } })).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringMatching(/has not started \(exit code \d\):\n.*NOPE/s),
    });
    expect(environment()).toEqual(restored);
  });

  describe('in a program of another team', () => {
    const programs: RunningCommand[] = [];

    afterAll(async () => {
      for (const program of programs) {
        program.signalGroup('SIGKILL');
        await program.end();
      }
    });

    async function start(
      args: readonly string[],
      files: Readonly<Record<string, string>> = {},
      variables: Readonly<Record<string, string>> = { TEST_DATABASE_URL: testRun().serverUrl },
    ): Promise<{ program: RunningCommand; folder: string }> {
      const folder = await makeScratchFolder('kit-client');
      await mkdir(join(folder, 'node_modules', '@ratchet'), { recursive: true });
      await symlink(join(CHECKOUT, 'packages/testing'), join(folder, 'node_modules/@ratchet/testing'));
      for (const [name, text] of Object.entries(files)) {
        await writeFile(join(folder, name), text);
      }
      const [command = '', ...rest] = args;
      const program = new RunningCommand(command, rest, {
        workingDirectory: folder,
        environment: { TMPDIR: folder, ...variables },
        keepsInputOpen: true,
      });
      programs.push(program);
      return { program, folder };
    }

    const CLI = join(CHECKOUT, 'packages/testing/dist/cli.js');

    it('is loaded by require, with every entry', async () => {
      const script = `
        const { connectRatchet } = require('@ratchet/testing');
        const entries = ['jest', 'jest-teardown', 'vitest', 'playwright'].map((name) => require('@ratchet/testing/' + name));
        connectRatchet().health().then(({ namespaces }) => console.log(namespaces[0], ...entries.map((each) => typeof each)));`;
      const { program } = await start(
        ['node', '--no-experimental-require-module', 'main.cjs'],
        { 'main.cjs': script },
        {
          RATCHET_TEST_URL: ratchet.testUrl,
        },
      );
      const stdout = 'main function function function function\n';
      expect(await program.end()).toEqual({ exitCode: 0, stdout, stderr: '' });
    });

    it('is loaded by import, and does not keep the process alive when it is not stopped', async () => {
      const script = `
        import { connectRatchet, startRatchet } from '@ratchet/testing';
        import setUp from '@ratchet/testing/vitest';
        await startRatchet();
        const ns = await connectRatchet().namespace('loaded');
        console.log((await ns.user({ email: 'ada@example.com' })).email, typeof setUp);`;
      const { program } = await start(['node', 'main.mjs'], { 'main.mjs': script });
      expect(await program.end()).toEqual({ exitCode: 0, stdout: 'ada@example.com function\n', stderr: '' });
    });

    it('leaves no process behind when it is killed', async () => {
      const script = `
        const { connectRatchet, startRatchet } = require('@ratchet/testing');
        startRatchet().then(async ({ testUrl }) => console.log(testUrl, (await connectRatchet().health()).pid));`;
      const { program, folder } = await start(
        ['node', 'main.cjs'],
        { 'main.cjs': `${script}; setInterval(() => {}, 1e6);` },
        {},
      );
      const [, testUrl, pid] = await program.said(/^(\S+) (\d+)$/m);
      const [slots = ''] = (await readdir(folder)).filter((name) => name.startsWith('ratchet-testing-'));
      const [slot = ''] = await readdir(join(folder, slots));
      const dataDir = join(folder, slots, slot);
      expect(await postgresProcessesOf(dataDir)).not.toEqual([]);
      program.signal('SIGKILL');
      await eventually(async () => !isAlive(Number(pid)) && (await postgresProcessesOf(dataDir)).length === 0, {
        withinMs: LONGEST_END_MS,
      });
      await expect(connectRatchet({ testUrl: testUrl ?? '' }).health()).rejects.toMatchObject({ code: 'unreachable' });
    });

    it('is the command ratchet-test, which runs another with the addresses set, and ends as that does', async () => {
      const script = `
        const { connectRatchet } = require('@ratchet/testing');
        connectRatchet().health().then(({ namespaces }) => {
          console.log(process.env.JWT_AUDIENCE, namespaces.join());
          process.exit(7);
        });`;
      const config = JSON.stringify({ JWT_AUDIENCE: 'orders' });
      const { program } = await start(['node', CLI, '--config', config, '--', 'node', 'main.cjs', '--'], {
        'main.cjs': script,
      });
      expect(await program.end()).toEqual({ exitCode: 7, stdout: 'orders main\n', stderr: '' });
    });

    it.each<[string, readonly string[], number, RegExp]>([
      [
        'for a command that is not there',
        ['--', 'no-such-command'],
        127,
        /^ratchet-test: spawn no-such-command ENOENT/,
      ],
      ['for an option that is not there', ['--prot', '1', '--', 'node'], 2, /'--prot'/],
      ['when no command follows', ['--'], 2, /^After -- comes the command to run: ratchet-test -- node --test$/m],
      ['for --help', ['--help'], 0, /ratchet-test .*-- <command>/s],
    ])('is the command ratchet-test, which says what to do %s', async (_when, args, exitCode, said) => {
      const { program } = await start(['node', CLI, ...args]);
      const result = await program.end();
      expect(result.stdout + result.stderr).toMatch(said);
      expect(result.exitCode).toBe(exitCode);
    });

    it('is the command ratchet-test, which serves until it is stopped', async () => {
      const { program } = await start(['node', CLI, '--port', '0']);
      const [, testUrl = ''] = await program.said(/"test_url":"([^"]+)"/);
      expect((await connectRatchet({ testUrl }).health()).namespaces).toEqual(['main']);
      program.signal('SIGTERM');
      expect((await program.end()).exitCode).toBe(0);
    });
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
