import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

/** Debian's `pgbouncer`, or any other on the path; `.ci/run` installs it. */
export const isPgBouncerInstalled = spawnSync('pgbouncer', ['--version']).status === 0;

/** It refuses to run as root. */
const NOBODY = 65_534;

export interface PgBouncerOptions {
  /** How many connections to the server it shares out. */
  readonly poolSize?: number;
  /** Start-up parameters that it takes and forgets instead of refusing them. */
  readonly ignoredStartupParameters?: string;
}

/** A PgBouncer of one's own on loopback, in transaction mode, in front of one database. */
export class PgBouncer {
  /** What it has written to its log. */
  log = '';

  private constructor(
    private readonly databaseUrl: URL,
    private readonly port: number,
    private readonly folder: string,
    private readonly process: ChildProcess,
  ) {
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
  }

  static async start(databaseUrl: string, options: PgBouncerOptions = {}): Promise<PgBouncer> {
    const { poolSize = 20, ignoredStartupParameters = '' } = options;
    const url = new URL(databaseUrl);
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-pgbouncer-'));
    const configFile = join(folder, 'pgbouncer.ini');
    const [user, password] = [url.username, url.password].map(decodeURIComponent);
    await writeFile(
      configFile,
      [
        '[databases]',
        `* = host=${url.hostname} port=${url.port} user=${quote(user)} password=${quote(password)}`,
        '[pgbouncer]',
        'listen_addr = 127.0.0.1',
        `listen_port = ${port}`,
        'unix_socket_dir =',
        'auth_type = any',
        'pool_mode = transaction',
        `default_pool_size = ${poolSize}`,
        'max_client_conn = 500',
        `ignore_startup_parameters = ${ignoredStartupParameters}`,
        '',
      ].join('\n'),
    );
    const isRoot = process.getuid?.() === 0;
    if (isRoot) {
      await chmod(folder, 0o755);
    }
    const child = spawn('pgbouncer', [configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(isRoot && { uid: NOBODY, gid: NOBODY }),
    });
    const bouncer = new PgBouncer(url, port, folder, child);
    await eventually(() => bouncer.accepts(), { withinMs: 10_000 });
    return bouncer;
  }

  /** The database as seen through it. */
  get url(): string {
    const url = new URL(this.databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      const exit = once(this.process, 'exit');
      this.process.kill('SIGKILL');
      await exit;
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private accepts(): Promise<boolean> {
    if (this.process.exitCode !== null) {
      throw new Error(`PgBouncer has ended: ${this.log}`);
    }
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
  }
}

function quote(value = ''): string {
  return `'${value.replaceAll("'", "''")}'`;
}
