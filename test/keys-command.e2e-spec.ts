import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { keysCommand } from '../src/cli/keys.command.js';
import { KeyLifeCycleService } from '../src/keys/key-life-cycle.service.js';
import { copyCheckout } from './support/checkout-copy.js';
import { runInProcess } from './support/command-in-process.js';
import { copyDataDir } from './support/data-dir.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { kidIn, Load } from './support/load.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { type CommandOptions, type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { ageKeys, kidOf, readKeyRows, reloadAll, tickAll } from './support/signing-keys.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

const DAY_SECONDS = 86_400;

/** Leaves the others a core. */
const WATCHING_PAUSE_MS = 10;

const INSTANT = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';

describe('the keys command', () => {
  let checkout: string;
  let database: TestDatabase;
  const services: TestService[] = [];

  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-keys-'));
    await copyCheckout(checkout);
  });

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await database.close();
  });

  afterAll(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  async function boot(): Promise<TestService> {
    const service = await startService(database);
    services.push(service);
    return service;
  }

  function options(environment: Readonly<Record<string, string>> = {}): CommandOptions {
    return {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', AUTH_SECRET, DATABASE_URL: database.url, ...environment },
    };
  }

  /** Runs it as a process of its own. */
  function start(...args: readonly string[]): RunningCommand {
    return new RunningCommand(process.execPath, ['dist/cli/keys.js', ...args], options());
  }

  function keys(...args: readonly string[]): Promise<CommandResult> {
    return runInProcess(keysCommand, args, options());
  }

  /** The key of the switch that a command has settled. */
  async function settledKey(): Promise<string> {
    const find = (): Promise<{ kid: string }[]> =>
      database.sql(`select kid from signing_keys where status = 'next' and activated_at is not null`);
    await eventually(async () => (await find()).length === 1, { withinMs: 20_000 });
    return (await find())[0]!.kid;
  }

  /** Lets a settled switch come in three seconds instead of twenty, and the instances know it. */
  async function hasten(services: readonly TestService[]): Promise<void> {
    const [row] = await database.sql<{ seconds: number }>(
      `select extract(epoch from activated_at - clock_timestamp())::float8 as seconds
       from signing_keys where status = 'next'`,
    );
    await ageKeys(database, row!.seconds - 3);
    await reloadAll(services);
  }

  async function replaceAtOnce(kid: string): Promise<CommandResult> {
    const command = keys('replace', kid, '--force');
    await settledKey();
    await ageKeys(database, 21);
    return command;
  }

  async function publishedKids({ client }: TestService): Promise<string[]> {
    const { body } = (await client.get('/.well-known/jwks.json')) as { body: { keys: { kid: string }[] } };
    return body.keys.map(({ kid }) => kid);
  }

  it('rotates: publishes, refuses while caches may not know the key, and lets it sign when they do', async () => {
    const service = await boot();
    const first = await kidOf(database, 'active');
    const published = await keys('rotate');
    const second = await kidOf(database, 'next');
    expect(published).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(
        new RegExp(`^Published ${second} \\(ES256\\)\\. It starts to sign at ${INSTANT}\\.\\n$`),
      ),
      stderr: '',
    });
    const [, signsFrom = ''] = new RegExp(`at (${INSTANT})`).exec(published.stdout) ?? [];

    expect(await keys('rotate')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringContaining(`before ${signsFrom}, when the service lets it sign. --force does not wait.`),
    });
    expect(await kidOf(database, 'next')).toBe(second);

    const listed = (await keys('list')).stdout.split('\n').map((line) => line.split(/ {2,}/));
    const since = expect.stringMatching(new RegExp(`^${INSTANT}$`));
    expect(listed).toEqual([
      ['KID', 'ALGORITHM', 'STATUS', 'SINCE', 'THEN', 'SECRET'],
      [first, 'ES256', 'active', since, '-', 'current'],
      [second, 'ES256', 'next', since, `signs from ${signsFrom}`, 'current'],
      [''],
    ]);
    const planned = (await keys('plan')).stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(planned.slice(0, 4)).toEqual([
      ['AT', 'KEY', 'IS', 'ALGORITHM'],
      [signsFrom, second, 'activated', 'ES256'],
      [since, first, 'removed', 'ES256'],
      [since, 'new key 1', 'published', 'ES256'],
    ]);

    await reloadAll([service]);
    await ageKeys(database, DAY_SECONDS + 20);
    expect(await keys('rotate')).toEqual({
      exitCode: 0,
      stdout: `${second} (ES256) signs: every instance uses it within 20 s.\n`,
      stderr: '',
    });
    expect(await readKeyRows(database)).toMatchObject([
      { kid: first, status: 'retiring' },
      { kid: second, status: 'active' },
    ]);
  });

  it('lists and plans without changing anything: a due transition is left to the service', async () => {
    await boot();
    await ageKeys(database, 100 * DAY_SECONDS);
    const before = await database.sql('select * from signing_keys');
    expect((await keys('list')).exitCode).toBe(0);
    expect((await keys('plan')).stdout).toContain('new key 1');
    expect(await runInProcess(keysCommand, ['list'], options({ JWT_ALGORITHM: 'RS256' }))).toMatchObject({
      exitCode: 0,
    });
    expect(await database.sql('select * from signing_keys')).toEqual(before);
  });

  it('rotates by force with no good token refused on any instance: all begin to sign with the key at the same time', async () => {
    const three = [await boot(), await boot(), await boot()];
    const first = await kidOf(database, 'active');
    const load = new Load(three.map(({ client }) => client));
    await load.add();
    await load.add();
    const command = keys('rotate', '--force');
    const second = await settledKey();
    await reloadAll(three);
    await load.goesOn(2);
    expect([...load.kids]).toEqual([first]);
    await hasten(three);
    expect(await command).toEqual({
      exitCode: 0,
      stdout: `${second} (ES256) signs on every instance.\n`,
      stderr: expect.stringMatching(
        new RegExp(
          `^${second} \\(ES256\\) signs from ${INSTANT}, when every instance knows it…\n` +
            'Verifiers that cache the keys may refuse new tokens until they fetch them again\\.\n$',
        ),
      ),
    });
    // True as soon as it is said, on every instance, without another reload.
    for (const { client } of three) {
      expect(kidIn((await client.signUpAndIn()).pair.access_token)).toBe(second);
    }
    await load.goesOn(2);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await readKeyRows(database)).toMatchObject([
      { kid: first, status: 'retiring' },
      { kid: second, status: 'active' },
    ]);
  });

  it('takes 20 s to rotate by force, in which every instance reloads the keys by itself, and needs no command to go on', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const service = await boot();
      const settledFrom = Date.now();
      const command = start('rotate', '--force');
      const [, signsFrom = ''] = await command.said(new RegExp(`signs from (${INSTANT}), when every instance`));
      const second = await settledKey();
      expect(Date.parse(signsFrom) - settledFrom).toBeGreaterThanOrEqual(20_000);
      command.signal('SIGINT');
      expect(await command.end()).toMatchObject({
        exitCode: 1,
        stdout: '',
        stderr: expect.stringContaining(
          `Interrupted. The instances switch to ${second} (ES256) all the same; see plan.`,
        ),
      });
      expect((await keys('rotate')).stderr).toContain(`before ${signsFrom}, when the service lets it sign.`);
      expect((await keys('retire', second)).stderr).toBe(
        `Refused: ${second} begins to sign at ${signsFrom}. Use replace ${second} --force.\n`,
      );
      await ageKeys(database, 20);
      vi.advanceTimersByTime(10_000);
      await eventually(async () => kidIn((await service.client.signUpAndIn()).pair.access_token) === second, {
        withinMs: 5_000,
      });
      expect(await kidOf(database, 'next')).toBe(second);
    } finally {
      vi.useRealTimers();
    }
  });

  it('replaces a stolen key so that the first new token makes every verifier drop it', async () => {
    const three = [await boot(), await boot(), await boot()];
    const [one] = three;
    const { pair, ...account } = await one!.client.signUpAndIn();
    const stolen = kidIn(pair.access_token);
    const lives = await Promise.all(three.map(({ client }) => client.signUpAndIn()));
    /** Fetches the set when a token names a key that it does not know, and never otherwise. */
    const known = new Set(await publishedKids(one!));
    let isGone = false;
    let hasNewSigned = false;
    const faults: string[] = [];
    let isOver = false;
    const watching = three.map(async (service, index) => {
      const other = three[(index + 1) % three.length]!;
      let refreshToken = lives[index]!.pair.refresh_token;
      while (!isOver) {
        const wasGone = isGone;
        const refreshed = await service.client.rotate(refreshToken);
        refreshToken = refreshed.refresh_token;
        const kid = kidIn(refreshed.access_token);
        if (kid === stolen && wasGone) {
          faults.push('the stolen key has signed after a set without it was served');
        }
        hasNewSigned ||= kid !== stolen;
        const hadNewSigned = hasNewSigned;
        const set = await publishedKids(other);
        if (hadNewSigned && set.includes(stolen)) {
          faults.push('a set with the stolen key was served after the new key had signed');
        }
        if (!known.has(kid)) {
          known.clear();
          set.forEach((each) => known.add(each));
        }
        if (kid !== stolen && !known.has(kid)) {
          faults.push('a set without the key that signs was served');
        }
        isGone ||= !set.includes(stolen);
        await pause(WATCHING_PAUSE_MS);
      }
    });

    const command = keys('replace', stolen, '--force');
    const fresh = await settledKey();
    expect((await keys('plan')).stdout).toMatch(
      new RegExp(`${INSTANT}  ${fresh}  activated  ES256\n${INSTANT}  ${stolen}  removed +ES256\n`),
    );
    await reloadAll(three);
    expect((await one!.client.me(pair.access_token)).status).toBe(200);
    await hasten(three);
    expect(await command).toEqual({
      exitCode: 0,
      stdout: `${fresh} (ES256) signs on every instance; ${stolen} is gone.\n`,
      stderr: expect.stringMatching(/its? signed are refused; their clients refresh[^]*jwks-rsa, keyfunc/),
    });
    await eventually(() => known.has(fresh), { withinMs: 5_000 });
    isOver = true;
    await Promise.all(watching);
    expect(faults).toEqual([]);
    expect([...known]).toEqual([fresh]);
    for (const { client } of three) {
      expectProblem(await client.me(pair.access_token), 'access_token_invalid');
    }
    expect((await one!.client.me((await one!.client.rotate(pair.refresh_token)).access_token)).status).toBe(200);
    await one!.client.signIn(account);
    expect(await readKeyRows(database)).toEqual([{ kid: fresh, algorithm: 'ES256', status: 'active' }]);
  });

  it('replaces a stolen key that does not sign, and another one begins to sign all the same', async () => {
    const service = await boot();
    const retiring = await kidOf(database, 'active');
    await service.app.get(KeyLifeCycleService).rotateEarly();
    await ageKeys(database, 21);
    await tickAll([service]);
    const active = await kidOf(database, 'active');
    await service.app.get(KeyLifeCycleService).rotate();
    const waiting = await kidOf(database, 'next');

    expect((await replaceAtOnce(waiting)).exitCode).toBe(0);
    const second = await kidOf(database, 'active');
    expect((await replaceAtOnce(retiring)).exitCode).toBe(0);
    expect(await readKeyRows(database)).toEqual([
      { kid: active, algorithm: 'ES256', status: 'retiring' },
      { kid: second, algorithm: 'ES256', status: 'retiring' },
      { kid: await kidOf(database, 'active'), algorithm: 'ES256', status: 'active' },
    ]);
  });

  it('lets the key sign that waits already, because caches know it', async () => {
    const service = await boot();
    const stolen = await kidOf(database, 'active');
    await service.app.get(KeyLifeCycleService).rotate();
    const waiting = await kidOf(database, 'next');
    expect((await replaceAtOnce(stolen)).stdout).toBe(
      `${waiting} (ES256) signs on every instance; ${stolen} is gone.\n`,
    );
  });

  it('replaces each key once when two operators ask at once, for the same key or for two', async () => {
    await boot();
    const stolen = await kidOf(database, 'active');
    const both = Promise.all([keys('replace', stolen, '--force'), keys('replace', stolen, '--force')]);
    const fresh = await settledKey();
    const third = keys('replace', fresh, '--force');
    await hasten([]);
    expect((await both).map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual(
      Array.from({ length: 2 }, () => [0, `${fresh} (ES256) signs on every instance; ${stolen} is gone.\n`]),
    );
    const last = await settledKey();
    await hasten([]);
    expect(await third).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('Waiting for another change') });
    expect(await readKeyRows(database)).toEqual([{ kid: last, algorithm: 'ES256', status: 'active' }]);
  });

  it('can be killed at any step of a replacement: plan says what comes, and a repetition completes it', async () => {
    await boot();
    const stolen = await kidOf(database, 'active');
    const proxy = await PostgresProxy.start(database.url);
    const overProxy = { ...options({ DATABASE_URL: proxy.url }) };
    proxy.cutNext(/set retiring_at/, 'before');
    expect(await runInProcess(keysCommand, ['replace', stolen, '--force'], overProxy)).toMatchObject({ exitCode: 1 });
    expect(await readKeyRows(database)).toEqual([{ kid: stolen, algorithm: 'ES256', status: 'active' }]);

    const killed = start('replace', stolen, '--force');
    const fresh = await settledKey();
    killed.signalGroup('SIGKILL');
    await killed.end();
    const planned = new RegExp(`${fresh} +activated .*\n.*${stolen} +removed `);
    expect((await keys('plan')).stdout).toMatch(planned);
    expect((await keys('list')).stdout).toMatch(
      new RegExp(`${stolen}.*active.*removed at[^]*${fresh}.*next.*signs from`),
    );

    await ageKeys(database, 21);
    proxy.cutNext(/delete from signing_keys/, 'before');
    expect(await runInProcess(keysCommand, ['replace', stolen, '--force'], overProxy)).toMatchObject({ exitCode: 1 });
    expect((await keys('plan')).stdout).toMatch(planned);
    expect(await keys('replace', stolen, '--force')).toMatchObject({
      exitCode: 0,
      stdout: `${fresh} (ES256) signs on every instance; ${stolen} is gone.\n`,
    });
    expect(await readKeyRows(database)).toEqual([{ kid: fresh, algorithm: 'ES256', status: 'active' }]);
    expect(await keys('replace', stolen, '--force')).toMatchObject({
      exitCode: 1,
      stderr: `There is no key ${stolen}. If it was being replaced, that is done; see list.\n`,
    });
    await proxy.close();
  });

  it('has a replacement completed by the service when the command does not come back', async () => {
    const service = await boot();
    const stolen = await kidOf(database, 'active');
    await service.app.get(KeyLifeCycleService).replace(stolen);
    await ageKeys(database, 21);
    await tickAll([service]);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['active']);
    expect(await kidOf(database, 'active')).not.toBe(stolen);
  });

  it('retires a stolen key, but neither the one that signs nor, unforced, one whose tokens may be good', async () => {
    const service = await boot();
    const { pair, ...account } = await service.client.signUpAndIn();
    const stolen = kidIn(pair.access_token);
    expect(await keys('retire', stolen, '--force')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `Refused: ${stolen} is the key that signs. Use replace ${stolen} --force.\n`,
    });
    await service.app.get(KeyLifeCycleService).rotate();
    await reloadAll([service]);
    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll([service]);

    expect(await keys('retire', stolen)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(
        new RegExp(`^Refused: tokens that ${stolen} signed may be valid until ${INSTANT}\\. --force ends them`),
      ),
    });
    expect((await service.client.me(pair.access_token)).status).toBe(200);

    expect(await keys('retire', stolen, '--force')).toEqual({
      exitCode: 0,
      stdout: `Removed ${stolen}; instances refuse its tokens as soon as they have reloaded the keys.\n`,
      stderr: expect.stringContaining('their clients have to refresh'),
    });
    await reloadAll([service]);
    expect((await service.client.me(pair.access_token)).status).toBe(401);
    const next = await service.client.rotate(pair.refresh_token);
    expect((await service.client.me(next.access_token)).status).toBe(200);
    await service.client.signIn(account);
  });

  it('retires without force a key whose tokens have all expired, and one that has never signed', async () => {
    const service = await boot();
    const old = await kidOf(database, 'active');
    await service.app.get(KeyLifeCycleService).rotate();
    await reloadAll([service]);
    await ageKeys(database, DAY_SECONDS + 20);
    await tickAll([service]);
    await ageKeys(database, 3_620);
    expect((await keys('retire', old)).exitCode).toBe(0);
    await service.app.get(KeyLifeCycleService).rotate();
    expect((await keys('retire', await kidOf(database, 'next'))).exitCode).toBe(0);
    expect((await readKeyRows(database)).map(({ status }) => status)).toEqual(['active']);
  });

  it.each<[string, string[], number, RegExp]>([
    ['a key that is not there', ['retire', 'nobody'], 1, /^There is no key nobody\.\n$/],
    ['to replace a key that is not there', ['replace', 'nobody', '--force'], 1, /^There is no key nobody\./],
    ['to replace a key without force', ['replace', 'any'], 1, /^Refused: every token that any signed would be refused/],
    ['a key without a name', ['retire'], 2, /^error: missing required argument 'kid'\n/],
    ['an unknown command', ['destroy'], 2, /^error: unknown command 'destroy'\n/],
    ['an option that is none', ['rotate', '--fast'], 2, /^error: unknown option '--fast'\n/],
    ['no command', [], 2, /^Usage: keys /],
  ])('refuses %s in a sentence, with nothing on standard output', async (_, args, exitCode, sentence) => {
    await boot();
    const before = await database.sql('select * from signing_keys');
    expect(await keys(...args)).toEqual({ exitCode, stdout: '', stderr: expect.stringMatching(sentence) });
    expect(await database.sql('select * from signing_keys')).toEqual(before);
  });

  it('ends its process with the exit code of wrong usage, and of help', async () => {
    const results = [['destroy'], ['--help']].map((args) => start(...args).end());
    expect(await Promise.all(results)).toEqual([
      { exitCode: 2, stdout: '', stderr: expect.stringMatching(/^error: unknown command 'destroy'\n/) },
      { exitCode: 0, stdout: expect.stringMatching(/^Usage: keys /), stderr: '' },
    ]);
  });

  it('works over the embedded PostgreSQL too, and leaves no process behind', async () => {
    const dataDir = join(checkout, 'data');
    await copyDataDir(dataDir);
    const { exitCode, stdout } = await runCommand(process.execPath, ['dist/cli/keys.js', 'list'], {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', DATA_DIR: dataDir },
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/ES256 {2,}active/) });
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });
});
