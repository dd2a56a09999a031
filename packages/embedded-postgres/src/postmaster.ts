import { execFile, type ChildProcess, type StdioOptions } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import type { Cluster } from './cluster.js';
import { EmbeddedPostgresError, readIfExists } from './errors.js';
import { poll } from './poll.js';
import { spawnProgram } from './programs.js';

const FAST_SHUTDOWN_MS = 30_000;
const IMMEDIATE_SHUTDOWN_MS = 10_000;
const TORN_WRITE_MS = 300;

/** The living server of a cluster. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** `ready`: it listens on `port` and takes connections. Others are `starting` and `stopping`. */
  readonly status: string;
}

/**
 * Finds the server by its pid file and by the process itself: after a crash any process may have that number, and any
 * listener that port. Removes a file that names no server of this cluster; PostgreSQL could refuse to start over it.
 */
export async function findPostmaster({ pgdata }: Cluster): Promise<Postmaster | undefined> {
  const path = join(pgdata, 'postmaster.pid');
  const file = await readIfExists(path);
  if (file === undefined) {
    return undefined;
  }
  const [pidLine, , , portLine, , , , status = ''] = file.split('\n');
  const pid = positiveInteger(pidLine);
  if (pid !== undefined && (await isPostmasterOf(pgdata, pid))) {
    return { pid, port: positiveInteger(portLine) ?? 0, status: status.trim() };
  }
  // A server that is starting writes its file in two steps.
  const hasChanged = await poll(TORN_WRITE_MS, async () => (await readIfExists(path)) !== file || undefined);
  if (hasChanged === undefined) {
    await rm(path, { force: true });
  }
  return undefined;
}

/** Recognises the process by its working directory, because process numbers repeat, above all in containers. */
async function isPostmasterOf(pgdata: string, pid: number): Promise<boolean> {
  try {
    if (process.platform === 'linux') {
      const [cluster, working] = await Promise.all([stat(pgdata), stat(`/proc/${pid}/cwd`)]);
      return cluster.dev === working.dev && cluster.ino === working.ino;
    }
    const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]);
    return stdout.includes(`-D ${pgdata} `);
  } catch {
    return false;
  }
}

/**
 * Becomes the server, beside a subshell that shuts the server down (SIGINT: fast) as soon as the owner's end of
 * descriptor 3 is closed. The operating system closes it however the owner ends.
 */
const SERVE_UNTIL_OWNER_ENDS = '(read -r line <&3; kill -INT $$ 2>/dev/null) & exec "$@" 3<&-';

/** A server that this process has started. It ends with this process, even if that is killed. */
export class OwnPostmaster {
  /** The owner's end of descriptor 3; the subshell closes the other end when it ends. */
  private readonly pipe: Duplex;

  private constructor(
    private readonly child: ChildProcess,
    private readonly logFile: string,
    private readonly logStart: number,
  ) {
    const pipe = child.stdio[3];
    if (!(pipe instanceof Duplex)) {
      throw new TypeError('descriptor 3 is not a pipe in both directions');
    }
    this.pipe = pipe.on('error', () => undefined).resume();
    child.once('exit', () => pipe.end());
  }

  /** Starts the server; it is not ready yet when this resolves. */
  static async spawn(cluster: Cluster, settings: Readonly<Record<string, string>>): Promise<OwnPostmaster> {
    const { pgdata, pgdataArgument, programs, logFile, user } = cluster;
    const command = [join(await programs(), 'postgres'), '-D', pgdataArgument];
    for (const [name, value] of Object.entries(settings)) {
      command.push('-c', `${name}=${value}`);
    }
    const log = await open(logFile, 'a', 0o600);
    try {
      const { size } = await log.stat();
      const stdio: StdioOptions = ['ignore', log.fd, log.fd, 'pipe'];
      const shell = ['-c', SERVE_UNTIL_OWNER_ENDS, 'sh', ...command];
      return new OwnPostmaster(await spawnProgram('/bin/sh', shell, { cwd: pgdata, user, stdio }), logFile, size);
    } finally {
      await log.close();
    }
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Whether neither the server nor the subshell is left. */
  get hasEnded(): boolean {
    return (this.child.exitCode !== null || this.child.signalCode !== null) && this.pipe.closed;
  }

  onceEnded(listener: () => void): void {
    this.child.once('exit', listener);
  }

  /** @returns what this server has logged */
  async readLog(): Promise<string> {
    return (await readFile(this.logFile)).toString('utf8', this.logStart).trim();
  }

  /**
   * Shuts the server down: fast (open transactions are rolled back, everything committed is on disk), and if that takes
   * too long at once (the next start recovers from the write-ahead log).
   *
   * @throws EmbeddedPostgresError when the process is still there afterwards
   */
  async stop(): Promise<void> {
    this.pipe.end();
    for (const [signal, withinMs] of [
      ['SIGINT', FAST_SHUTDOWN_MS],
      ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
    ] as const) {
      this.child.kill(signal);
      if (await poll(withinMs, () => Promise.resolve(this.hasEnded || undefined))) {
        return;
      }
    }
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL (process ${String(this.pid)}) does not stop; its log is ${this.logFile}.`,
    );
  }
}

/** Chooses the port of the last start, so that a connection string that was written down stays good, or another one. */
export async function choosePort({ portFile }: Cluster, isRememberedTaken: boolean): Promise<string> {
  const remembered = isRememberedTaken ? undefined : positiveInteger(await readIfExists(portFile));
  // Systems give other ports to outgoing connections, which could take this one while the server is stopped.
  const port = String(remembered ?? randomInt(20_000, 32_768));
  await writeFile(portFile, `${port}\n`, { mode: 0o600 });
  return port;
}

/** PostgreSQL writes a minus before the process number of its single-user mode. */
function positiveInteger(text = ''): number | undefined {
  const value = /^\s*-?(\d{1,10})\s*$/.exec(text)?.[1];
  return value === undefined || Number(value) === 0 ? undefined : Number(value);
}
