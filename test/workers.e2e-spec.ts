import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { killPostgresOf } from './support/kill-postgres.js';
import { PinnedConnection } from './support/pinned-connection.js';
import { ServiceProcess } from './support/service-process.js';
import {
  type Account,
  codeOf,
  newPassword,
  sessionIdOf,
  type TestClient,
  type TokenPair,
} from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET } from './support/test-service.js';

const WORKERS = 3;

/** Every start is of several processes, on a machine that runs other tests. */
const LONGEST_START_MS = 60_000;

function workerPids(service: ServiceProcess): number[] {
  return service.logged('worker_serving').map(({ pid }) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** One connection to each worker, by number. */
async function connectToEach(service: ServiceProcess, url: string): Promise<Map<number, PinnedConnection>> {
  const connections = new Map<number, PinnedConnection>();
  for (let attempt = 1; connections.size < WORKERS && attempt <= 10 * WORKERS; attempt += 1) {
    const connection = new PinnedConnection(url);
    const { requestId } = await connection.get('/auth/me');
    const wasLogged = (): Record<string, unknown> | undefined =>
      service.lines.find((line) => line['request_id'] === requestId);
    await eventually(() => wasLogged() !== undefined, { withinMs: 2_000 });
    const worker = Number(wasLogged()?.['worker']);
    if (connections.has(worker)) {
      connection.close();
    } else {
      connections.set(worker, connection);
    }
  }
  return connections;
}

describe('several workers', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let client: TestClient;
  let connections: PinnedConnection[];

  beforeAll(async () => {
    database = await createTestDatabase();
    service = new ServiceProcess({
      DATABASE_URL: database.url,
      AUTH_SECRET,
      WORKERS: String(WORKERS),
      DATABASE_POOL_SIZE: '3',
      MAX_SESSIONS_PER_USER: '200',
    });
    client = await service.listening();
  }, LONGEST_START_MS);

  afterEach(() => {
    connections.splice(0).forEach((connection) => {
      connection.close();
    });
  });

  afterAll(async () => {
    await service.kill();
    await database.close();
  });

  async function connectToAll(): Promise<PinnedConnection[]> {
    connections = [...(await connectToEach(service, client.url)).values()];
    expect(connections).toHaveLength(WORKERS);
    return connections;
  }

  async function signInOften(account: Account, count: number): Promise<TokenPair[]> {
    const pairs: TokenPair[] = [];
    while (pairs.length < count) {
      pairs.push(...(await Promise.all(Array.from({ length: WORKERS }, () => client.signIn(account)))));
    }
    return pairs.slice(0, count);
  }

  /** Asks every worker at once, and one over a new connection. */
  async function answersOfAll(accessToken: string): Promise<(string | number)[]> {
    const answers = connections.map(async (connection) => {
      const { status, code } = await connection.get('/auth/me', accessToken);
      return code ?? status;
    });
    const overNewConnection = await client.me(accessToken);
    return [...(await Promise.all(answers)), overNewConnection.status === 200 ? 200 : codeOf(overNewConnection)];
  }

  const everyone = (answer: string | number): (string | number)[] => Array<string | number>(WORKERS + 1).fill(answer);

  it('share one port, and listen once', async () => {
    await connectToAll();
    expect(service.logged('listening')).toHaveLength(1);
    expect(new Set(workerPids(service)).size).toBe(WORKERS);
    const { pair } = await client.signUpAndIn();
    expect(await answersOfAll(pair.access_token)).toEqual(everyone(200));
  });

  it('invariant 4: every one of them refuses the access token as soon as one has acknowledged the logout', async () => {
    const all = await connectToAll();
    const pairs = await signInOften(await client.signUp(), 50);
    const wrong: unknown[] = [];
    for (const [index, { access_token: accessToken }] of pairs.entries()) {
      const logout = await all[index % WORKERS]!.post('/auth/logout', accessToken, {});
      expect(logout.status).toBe(204);
      const answers = await answersOfAll(accessToken);
      wrong.push(...answers.filter((answer) => answer !== 'access_token_revoked'));
    }
    expect(wrong).toEqual([]);
  });

  it('invariant 4: and so after a reuse, a logout from everywhere and a password change', async () => {
    const all = await connectToAll();
    for (const [index, connection] of all.entries()) {
      const { pair, ...account } = await client.signUpAndIn();
      const successor = await client.rotate(pair.refresh_token);
      const reuse = await connection.post('/auth/refresh', undefined, { refresh_token: pair.refresh_token });
      expect([index, reuse.code]).toEqual([index, 'refresh_token_reused']);
      expect(await answersOfAll(successor.access_token)).toEqual(everyone('access_token_revoked'));

      const [first, second] = [await client.signIn(account), await client.signIn(account)];
      expect((await connection.post('/auth/logout-all', first.access_token, {})).status).toBe(204);
      expect(await answersOfAll(second.access_token)).toEqual(everyone('access_token_revoked'));

      const third = await client.signIn(account);
      const body = { current_password: account.password, new_password: newPassword() };
      expect((await connection.post('/auth/password', third.access_token, body)).status).toBe(200);
      expect(await answersOfAll(third.access_token)).toEqual(everyone('access_token_revoked'));
    }
  });

  it('go on when one hangs, and it knows what it has missed when it answers again', async () => {
    const byNumber = await connectToEach(service, client.url);
    connections = [...byNumber.values()];
    const [[number, hanging], [, answering]] = [...byNumber] as [
      [number, PinnedConnection],
      [number, PinnedConnection],
    ];
    const pid = workerPids(service)[service.logged('worker_serving').findIndex(({ worker }) => worker === number)]!;
    const account = await client.signUp();
    const [first, second] = await signInOften(account, 2);
    process.kill(pid, 'SIGSTOP');
    try {
      for (const pair of [first!, second!]) {
        expect((await answering.post('/auth/logout', pair.access_token, {})).status).toBe(204);
        expect((await answering.get('/auth/me', pair.access_token)).code).toBe('access_token_revoked');
      }
      expect(service.logged('worker_late').map(({ worker }) => worker)).toEqual([number]);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    for (const pair of [first!, second!]) {
      expect((await hanging.get('/auth/me', pair.access_token)).code).toBe('access_token_revoked');
    }
  });

  it(
    'go on when one is killed, and another takes its place and refuses what the others refuse',
    async () => {
      const account = await client.signUp();
      const [ended, open] = await signInOften(account, 2);
      expect((await client.logout({ accessToken: ended!.access_token })).status).toBe(204);
      const [victim] = workerPids(service).filter(isAlive);
      process.kill(victim!, 'SIGKILL');
      await eventually(() => service.hasLogged('worker_ended'), { withinMs: 5_000 });
      expect((await client.me(open!.access_token)).status).toBe(200);

      await eventually(() => workerPids(service).filter(isAlive).length === WORKERS, { withinMs: 40_000 });
      await connectToAll();
      expect(await answersOfAll(ended!.access_token)).toEqual(everyone('access_token_revoked'));
      expect(await answersOfAll(open!.access_token)).toEqual(everyone(200));
      expect(service.logged('worker_ended')).toEqual([
        expect.objectContaining({ level: 'error', reason: 'it was ended by SIGKILL' }),
      ]);
      expect(service.logged('listening')).toHaveLength(1);
    },
    LONGEST_START_MS,
  );

  it('finish the request in flight at a SIGTERM, though each of them gets one as well, and end with code 0', async () => {
    const { pair } = await client.signUpAndIn();
    const lock = await holdLock(database, 'select 1 from refresh_token_families where id = $1 for update', [
      sessionIdOf(pair),
    ]);
    const inFlight = client.refresh(pair.refresh_token);
    await lock.untilWaiting(1);
    const pids = workerPids(service).filter(isAlive);
    pids.forEach((pid) => process.kill(pid, 'SIGTERM'));
    service.signal('SIGTERM');
    await eventually(() => service.hasLogged('stopping'), { withinMs: 2_000 });
    await lock.release();
    expect((await inFlight).status).toBe(200);
    expect(await service.ended()).toEqual({ code: 0, signal: null });
    expect(service.hasLogged('stopped')).toBe(true);
    expect(service.errorOutput).toBe('');
    expect(pids.filter(isAlive)).toEqual([]);
    expect(service.hasLogged('worker_killed')).toBe(false);
    connections = [];
  });
});

describe('the supervisor of workers', () => {
  let scratch: string;
  let database: TestDatabase;
  const services: ServiceProcess[] = [];

  beforeAll(async () => {
    scratch = await realpath(await mkdtemp(join(tmpdir(), 'ratchet-workers-')));
    // Run by root, the embedded PostgreSQL is somebody else's process.
    await chmod(scratch, 0o755);
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.kill()));
  });

  afterAll(async () => {
    await database.close();
    await killPostgresOf(join(scratch, 'data'));
    await rm(scratch, { recursive: true, force: true });
  });

  /** Over the database of the test, or over `DATA_DIR` where the environment names one. */
  function start(environment: Readonly<Record<string, string>>): ServiceProcess {
    const place = 'DATA_DIR' in environment ? {} : { DATABASE_URL: database.url, AUTH_SECRET };
    const service = new ServiceProcess({ WORKERS: '2', ...place, ...environment });
    services.push(service);
    return service;
  }

  it(
    'runs the embedded PostgreSQL for all, and stops it last',
    async () => {
      const service = start({ DATA_DIR: join(scratch, 'data') });
      const client = await service.listening();
      const { pair } = await client.signUpAndIn();
      expect((await client.rotate(pair.refresh_token)).token_type).toBe('Bearer');
      service.signal('SIGINT');
      expect(await service.ended()).toEqual({ code: 0, signal: null });
      expect(service.errorOutput).toBe('');
      expect(await postgresProcessesOf(join(scratch, 'data'))).toEqual([]);
      expect(workerPids(service).filter(isAlive)).toEqual([]);
    },
    LONGEST_START_MS,
  );

  it(
    'leaves no worker behind when it is killed itself',
    async () => {
      const service = start({});
      await service.listening();
      const pids = workerPids(service);
      expect(pids).toHaveLength(2);
      await service.kill();
      await eventually(() => pids.every((pid) => !isAlive(pid)), { withinMs: 5_000 });
    },
    LONGEST_START_MS,
  );

  it(
    'ends with the reason of a worker that cannot start',
    async () => {
      const occupant = createServer();
      await new Promise<void>((resolve) => occupant.listen(0, '127.0.0.1', resolve));
      const { port } = occupant.address() as { port: number };
      const service = start({ PORT: String(port) });
      expect(await service.ended()).toEqual({ code: 1, signal: null });
      expect(service.errorOutput).toBe(
        `Port ${port} is taken. Stop what listens there, or choose another: PORT=3001 npm start\n`,
      );
      occupant.close();
    },
    LONGEST_START_MS,
  );

  it(
    'gives up, and says so, when workers die at their start again and again',
    async () => {
      const dies = "if(process.argv[1].endsWith('worker.js'))process.kill(process.pid,'SIGKILL')";
      const service = start({ DATA_DIR: join(scratch, 'data'), NODE_OPTIONS: `--import=data:text/javascript,${dies}` });
      expect(await service.ended()).toEqual({ code: 1, signal: null });
      expect(service.errorOutput).toBe('The workers end as soon as they start. The last: it was ended by SIGKILL\n');
      expect(service.logged('worker_ended').length).toBeGreaterThanOrEqual(5);
      expect(await postgresProcessesOf(join(scratch, 'data'))).toEqual([]);
    },
    LONGEST_START_MS,
  );

  it('refuses to measure several processes on one port', async () => {
    const service = start({ METRICS_PORT: '0' });
    expect(await service.ended()).toEqual({ code: 1, signal: null });
    expect(service.errorOutput).toContain('METRICS_PORT needs WORKERS=1');
  });
});
