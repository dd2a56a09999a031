import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keysCommand } from '../src/cli/keys.command.js';
import { KeyLifeCycleService } from '../src/keys/key-life-cycle.service.js';
import { copyCheckout } from './support/checkout-copy.js';
import { runInProcess } from './support/command-in-process.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { kidIn, Load } from './support/load.js';
import { type CommandOptions, type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { ageKeys, kidOf, readKeyRows, reloadAll, tickAll } from './support/signing-keys.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

const DAY_SECONDS = 86_400;
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
      ['FROM', 'KEY', 'IS'],
      [signsFrom, `${second} (ES256)`, 'the one that signs'],
      [since, `${first} (ES256)`, 'removed'],
      [since, 'new key 1 (ES256)', 'published, does not sign yet'],
    ]);

    await reloadAll([service]);
    await ageKeys(database, DAY_SECONDS + 20);
    expect(await keys('rotate')).toEqual({
      exitCode: 0,
      stdout: `${second} (ES256) signs from now on.\n`,
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
    expect((await keys('plan')).stdout).toContain('new key 1 (ES256)');
    expect(await runInProcess(keysCommand, ['list'], options({ JWT_ALGORITHM: 'RS256' }))).toMatchObject({
      exitCode: 0,
    });
    expect(await database.sql('select * from signing_keys')).toEqual(before);
  });

  it('rotates by force with no good token refused on any instance: they are given time to load the key first', async () => {
    const three = [await boot(), await boot(), await boot()];
    const first = await kidOf(database, 'active');
    const load = new Load(three.map(({ client }) => client));
    await load.add();
    await load.add();
    const command = start('rotate', '--force');
    await command.said(/is published\. Waiting 20 s from then/);
    const second = await kidOf(database, 'next');
    await load.goesOn(2);
    expect([...load.kids]).toEqual([first]);
    // Nobody shifts a clock here: the instances have the time that the command gives them, and no more.
    expect(await command.end()).toEqual({
      exitCode: 0,
      stdout: `${second} (ES256) signs from now on.\n`,
      stderr: expect.stringMatching(
        new RegExp(`\\nVerifiers that cache the keys may refuse new tokens until ${INSTANT} at the latest\\.\\n$`),
      ),
    });
    await eventually(() => load.kids.has(second), { withinMs: 15_000 });
    await load.goesOn(3);
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  it('goes on where an interrupted forced rotation has stopped', async () => {
    await boot();
    const command = start('rotate', '--force');
    await command.said(/is published\. Waiting/);
    command.signal('SIGINT');
    const second = await kidOf(database, 'next');
    expect(await command.end()).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringContaining(`Interrupted. ${second} stays published;`),
    });
    await ageKeys(database, 20);
    expect((await keys('rotate', '--force')).stdout).toBe(`${second} (ES256) signs from now on.\n`);
  });

  it('retires a stolen key, but neither the one that signs nor, unforced, one whose tokens may be good', async () => {
    const service = await boot();
    const { pair, ...account } = await service.client.signUpAndIn();
    const stolen = kidIn(pair.access_token);
    expect(await keys('retire', stolen, '--force')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `Refused: ${stolen} is the key that signs. Replace it first: rotate --force.\n`,
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
    const { exitCode, stdout } = await runCommand(process.execPath, ['dist/cli/keys.js', 'list'], {
      workingDirectory: checkout,
      environment: { NODE_ENV: 'test', DATA_DIR: dataDir },
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/ES256 {2,}active/) });
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });
});
