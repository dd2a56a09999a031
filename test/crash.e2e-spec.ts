import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyDataDir } from './support/data-dir.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { HonestClient } from './support/honest-client.js';
import { expectProblem } from './support/problem.js';
import { ServiceProcess } from './support/service-process.js';
import { newIdempotencyKey, sessionIdOf, type TestClient } from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { AUTH_SECRET } from './support/test-service.js';

const CLIENTS = 4;
const REFRESHES_BETWEEN_CRASHES = 60;

/** Three starts and some hundred refreshes, on a machine that is busy with other tests. */
const LONGEST_CRASH_TEST_MS = 150_000;

describe('the process of the service', () => {
  let scratch: string;
  const processes: ServiceProcess[] = [];
  const dataDirs: string[] = [];

  beforeAll(async () => {
    scratch = await realpath(await mkdtemp(join(tmpdir(), 'ratchet-crash-')));
    // Started by root, the embedded PostgreSQL runs as another user.
    await chmod(scratch, 0o755);
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map((service) => service.kill()));
    for (const dataDir of dataDirs.splice(0)) {
      await killPostgres(dataDir);
    }
  });

  afterAll(async () => {
    await rm(scratch, { recursive: true, force: true });
  });

  async function newDataDir(name: string): Promise<string> {
    const dataDir = join(scratch, name);
    dataDirs.push(dataDir);
    await copyDataDir(dataDir);
    return dataDir;
  }

  function start(environment: Readonly<Record<string, string>>): ServiceProcess {
    const service = new ServiceProcess(environment);
    processes.push(service);
    return service;
  }

  async function killPostgres(dataDir: string): Promise<void> {
    for (const pid of await postgresProcessesOf(dataDir)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with the one before it.
      }
    }
    await eventually(async () => (await postgresProcessesOf(dataDir)).length === 0, { withinMs: 5_000 });
  }

  it.each([
    { name: 'the service', killsPostgres: false, crashes: 2 },
    { name: 'the service and its PostgreSQL', killsPostgres: true, crashes: 1 },
  ])(
    'invariant 5 and 6: kill -9 of $name in the middle of many refreshes loses no rotation and signs nobody out',
    async ({ killsPostgres, crashes }) => {
      const dataDir = await newDataDir(`killed-${String(killsPostgres)}`);
      // Or the rotations that a database has lost would be forgiven.
      const environment = { DATA_DIR: dataDir, REFRESH_ROLL_FORWARD: 'off' };
      let service = start(environment);
      let server = await service.listening();
      const sessions = await Promise.all(Array.from({ length: CLIENTS }, () => server.signUpAndIn()));
      const clients = sessions.map(
        ({ pair }) => new HonestClient(pair, () => ({ url: server.url, timeoutMs: 10_000 })),
      );
      const countUsed = (): number => clients.reduce((sum, client) => sum + client.used.length, 0);

      let isOver = false;
      const running = Promise.all(
        clients.map(async (client) => {
          while (!isOver && client.signedOutBy === undefined) {
            await client.refresh();
          }
        }),
      );
      for (let crash = 1; crash <= crashes; crash += 1) {
        await eventually(() => countUsed() >= crash * REFRESHES_BETWEEN_CRASHES, { withinMs: 20_000 });
        await Promise.all([...(killsPostgres ? [killPostgres(dataDir)] : []), service.kill()]);
        service = start(environment);
        server = await service.listening();
      }
      await eventually(() => countUsed() >= (crashes + 1) * REFRESHES_BETWEEN_CRASHES, { withinMs: 20_000 });
      isOver = true;
      await running;

      expect(clients.map((client) => client.signedOutBy)).toEqual(clients.map(() => undefined));
      for (const client of clients) {
        const last = await server.rotate(client.pair.refresh_token, newIdempotencyKey());
        expect((await server.me(last.access_token)).status).toBe(200);
        // Any used one, from before the crashes or after, is recognised.
        expectProblem(await server.refresh(client.used[Math.floor(client.used.length / 3)]!), 'refresh_token_reused');
        expectProblem(await server.refresh(last.refresh_token), 'refresh_token_reused');
      }
      service.signal('SIGTERM');
      expect(await service.ended()).toEqual({ code: 0, signal: null });
      expect(await postgresProcessesOf(dataDir)).toEqual([]);
    },
    LONGEST_CRASH_TEST_MS,
  );

  it('SIGTERM lets the request in flight finish, and then nothing runs any more', async () => {
    const database = await createTestDatabase();
    const service = start({ DATABASE_URL: database.url, AUTH_SECRET });
    const client = await service.listening();
    const { pair } = await client.signUpAndIn();
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
      sessionIdOf(pair),
    ]);
    const inFlight = client.refresh(pair.refresh_token);
    await lock.untilWaiting(1);

    service.signal('SIGTERM');
    await eventually(() => service.hasLogged('stopping'), { withinMs: 2_000 });
    await eventually(() => refusesConnections(client), { withinMs: 2_000 });
    await lock.release();
    const answer = await inFlight;
    expect(answer.status).toBe(200);
    expect(answer.headers['connection']).toBe('close');
    expect(await service.ended()).toEqual({ code: 0, signal: null });
    expect(service.hasLogged('stopped')).toBe(true);
    expect(service.errorOutput).toBe('');
    expect(await database.sql('select generation from refresh_token_families')).toEqual([{ generation: 2 }]);
    await database.close();
  });

  it('SIGINT twice, as npm and a terminal send it, stops it as cleanly as once', async () => {
    const dataDir = await newDataDir('interrupted');
    const service = start({ DATA_DIR: dataDir });
    const client = await service.listening();
    const account = await client.signUp();
    // It was sent before the signal: either it is answered, or the connection closes before the service reads it.
    const login = client.login({ email: account.email, password: account.password }).catch(() => undefined);
    service.signal('SIGINT');
    await eventually(() => service.hasLogged('stopping'), { withinMs: 2_000 });
    service.signal('SIGINT');
    service.signal('SIGTERM');
    await login;
    expect(await service.ended()).toEqual({ code: 0, signal: null });
    expect(service.hasLogged('stopped')).toBe(true);
    expect(service.errorOutput).toBe('');
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });

  it('a second start on the same data directory names the running service and does not disturb it', async () => {
    const dataDir = await newDataDir('shared');
    const first = start({ DATA_DIR: dataDir });
    const client = await first.listening();
    const { pair } = await client.signUpAndIn();

    const second = start({ DATA_DIR: dataDir });
    expect(await second.ended()).toEqual({ code: 1, signal: null });
    expect(second.errorOutput).toMatch(
      new RegExp(`^The data directory ${dataDir} is in use by process \\d+\\. Stop that process first, or [^\\n]+\\n$`),
    );
    await client.rotate(pair.refresh_token);
  });

  it('a start on a taken port fails with one line and stops the PostgreSQL that it started', async () => {
    const dataDir = await newDataDir('no-port');
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;

    const service = start({ DATA_DIR: dataDir, PORT: String(port) });
    const end = await service.ended();
    await new Promise((resolve) => holder.close(resolve));
    expect(end).toEqual({ code: 1, signal: null });
    expect(service.errorOutput).toBe(
      `Port ${port} is taken. Stop what listens there, or choose another: PORT=3001 npm start\n`,
    );
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });

  it('the first line of the log lists the settings that differ from their defaults, a secret only as set', async () => {
    const service = start({ AUTH_SECRET, DATABASE_URL: 'postgres://ratchet:pw-of-nobody@127.0.0.1:1/ratchet' });
    await eventually(() => service.hasLogged('configured'), { withinMs: 10_000 });
    expect(service.lines[0]).toEqual({
      level: 'info',
      time: expect.any(String),
      event: 'configured',
      settings: ['DATABASE_URL (set)', 'AUTH_SECRET (set)', 'PORT=0', 'RATE_LIMITS=off', 'NODE_ENV=test'],
      msg: 'settings that differ from their defaults',
    });
    expect(JSON.stringify(service.lines) + service.errorOutput).not.toContain('pw-of-nobody');
  });

  it('a signing key of another AUTH_SECRET fails the start with a sentence and without a stack', async () => {
    const database = await createTestDatabase();
    const first = start({ DATABASE_URL: database.url, AUTH_SECRET });
    await first.listening();
    const second = start({ DATABASE_URL: database.url, AUTH_SECRET: `${AUTH_SECRET}-and-another-one` });
    expect(await second.ended()).toEqual({ code: 1, signal: null });
    expect(second.errorOutput).toMatch(/^The signing key [\w-]{43} in the database cannot be decrypted [^\n]+\n$/);
    await database.close();
  });
});

async function refusesConnections(client: TestClient): Promise<boolean> {
  return client.get('/health/live').then(
    () => false,
    () => true,
  );
}
