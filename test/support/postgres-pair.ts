import { chmod, chown, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Pool } from 'pg';
import {
  chooseServerUser,
  findPrograms,
  runProgram,
  type ServerUser,
  spawnProgram,
} from '../../packages/embedded-postgres/src/programs.js';
import { migrateDatabase } from '../../src/platform/database/migrate.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { killPostgresOf } from './kill-postgres.js';

/** The name that a standby connects under. */
const STANDBY = 'standby';

const SETTINGS = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 150
shared_buffers = 16MB
max_wal_size = 64MB
fsync = off
log_min_messages = fatal
`;

/** The data of a stopped server with a migrated database, from which pairs are copied: one `initdb` for all. */
export class PostgresSeed {
  private constructor(
    readonly folder: string,
    readonly programs: string,
    readonly user: ServerUser,
  ) {}

  static async create(): Promise<PostgresSeed> {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-failover-'));
    // Started by root, PostgreSQL runs as another user.
    await chmod(folder, 0o755);
    const user = await chooseServerUser(join(folder, 'seed'));
    const seed = new PostgresSeed(folder, await findPrograms(folder, user), user);
    const server = await seed.server('seed', async (pgdata) => {
      await mkdir(pgdata, { mode: 0o700 });
      if (user !== undefined) {
        await chown(pgdata, user.uid, user.gid);
      }
      const args = [
        '--pgdata=.',
        '--username=postgres',
        '--auth=trust',
        '--no-sync',
        '--wal-segsize=1',
        '--encoding=UTF8',
      ];
      await runProgram(join(seed.programs, 'initdb'), [...args, '--locale=C'], { cwd: pgdata, user });
    });
    await server.start();
    await migrateDatabase(server.url);
    await server.stop('SIGINT');
    return seed;
  }

  /** @param fill makes the data directory; a copy of the seed unless it says otherwise */
  async server(name: string, fill?: (pgdata: string) => Promise<void>): Promise<PostgresServer> {
    const pgdata = dataIn(join(this.folder, name));
    await mkdir(dirname(pgdata), { recursive: true });
    await (fill?.(pgdata) ?? copyData(dataIn(join(this.folder, 'seed')), pgdata, this.user));
    return new PostgresServer(join(this.folder, name), await freePort(), this.programs, this.user);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Where `killPostgresOf` looks for it. */
function dataIn(folder: string): string {
  return join(folder, 'postgres', 'data');
}

async function copyData(from: string, to: string, user: ServerUser): Promise<void> {
  if (user === undefined) {
    await cp(from, to, { recursive: true });
  } else {
    // `cp` of Node gives the files to root.
    await runProgram('/bin/cp', ['-a', from, to], { cwd: '/', user: undefined });
  }
}

/** One PostgreSQL that can be killed, and made a standby of another. */
export class PostgresServer {
  private child: ChildProcess | undefined;
  private readonly pgdata: string;
  private readonly pool: Pool;

  constructor(
    private readonly folder: string,
    readonly port: number,
    private readonly programs: string,
    private readonly user: ServerUser,
  ) {
    this.pgdata = dataIn(folder);
    this.pool = new Pool({ connectionString: this.url, max: 3, application_name: 'test' });
    this.pool.on('error', () => undefined);
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  /** Resolves when it takes connections. */
  async start(settings: readonly string[] = []): Promise<void> {
    await writeFile(
      join(this.pgdata, 'postgresql.auto.conf'),
      [SETTINGS, `port = ${this.port}`, ...settings].join('\n'),
    );
    this.child = await spawnProgram(join(this.programs, 'postgres'), ['-D', '.'], {
      cwd: this.pgdata,
      user: this.user,
      stdio: 'ignore',
    });
    await eventually(() => this.pool.query('select').then(() => true), { withinMs: 20_000 });
  }

  async sql<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.pool.query<Row>(text, [...values]);
    return rows;
  }

  /** Follows `primary` from its first start on. */
  async follow(primary: PostgresServer, settings: readonly string[] = []): Promise<void> {
    await writeFile(join(this.pgdata, 'standby.signal'), '');
    const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${STANDBY}`;
    await this.start([`primary_conninfo = '${conninfo}'`, ...settings]);
  }

  async setting(name: string, value: string): Promise<void> {
    await this.sql(`alter system set ${name} = ${value}`);
    await this.sql('select pg_reload_conf()');
  }

  /** Kills one session as the kernel would: all sessions end, and the server recovers without a start. */
  async crashSession(): Promise<void> {
    const [session] = await this.sql<{ pid: number }>('select pg_backend_pid() as pid');
    process.kill(session?.pid ?? 0, 'SIGKILL');
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async promote(): Promise<void> {
    await this.sql('select pg_promote()');
  }

  /** Stops it as a loss of power does: no session of it answers any more. */
  async kill(): Promise<void> {
    await this.end(() => killPostgresOf(this.folder));
  }

  /** @param signal by default one that waits for no standby, which may be gone */
  async stop(signal: NodeJS.Signals = 'SIGQUIT'): Promise<void> {
    await this.pool.end();
    await this.end((child) => child.kill(signal));
  }

  private async end(how: (child: ChildProcess) => unknown): Promise<void> {
    const { child } = this;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      await how(child);
      await ended;
    }
  }
}

/** A primary and a standby that streams from it. */
export class PostgresPair {
  private constructor(
    readonly primary: PostgresServer,
    readonly standby: PostgresServer,
  ) {}

  /** @param commits `synchronous`: none is acknowledged before the standby has it on disk */
  static async start(seed: PostgresSeed, commits: 'synchronous' | 'asynchronous'): Promise<PostgresPair> {
    pairs += 1;
    const primary = await seed.server(`primary-${pairs}`);
    const standby = await seed.server(`standby-${pairs}`);
    await primary.start(commits === 'synchronous' ? [`synchronous_standby_names = '${STANDBY}'`] : []);
    await standby.follow(primary);
    const pair = new PostgresPair(primary, standby);
    await pair.isStreaming(commits === 'synchronous' ? 'sync' : 'async');
    return pair;
  }

  async isStreaming(state: 'sync' | 'async'): Promise<void> {
    await eventually(
      async () =>
        (await this.primary.sql('select 1 from pg_stat_replication where sync_state = $1', [state])).length === 1,
      { withinMs: 20_000 },
    );
  }

  /** The standby has everything that the primary has committed so far. */
  async isCaughtUp(): Promise<void> {
    const [now] = await this.primary.sql<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
    await eventually(
      async () => {
        const [standby] = await this.standby.sql<{ has: boolean }>(
          'select pg_last_wal_replay_lsn() >= $1::pg_lsn as has',
          [now?.lsn],
        );
        return standby?.has === true;
      },
      { withinMs: 20_000 },
    );
  }

  /** Nothing that is committed from now on reaches the standby. */
  async isAlone(): Promise<void> {
    await eventually(async () => (await this.primary.sql('select 1 from pg_stat_replication')).length === 0, {
      withinMs: 20_000,
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.primary.stop(), this.standby.stop()]);
  }
}

let pairs = 0;
