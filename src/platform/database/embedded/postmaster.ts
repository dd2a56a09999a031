import { execFile } from 'node:child_process';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ClusterPaths } from './cluster.js';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import { poll } from './poll.js';
import { spawnPostgresProcess } from './postgres-process.js';
import { dataDirectoryArgument, type ServerUser } from './server-user.js';

/** What the running or last server of a cluster wrote about itself. */
export interface PostmasterPidFile {
  /** `undefined` when the file does not hold what PostgreSQL writes. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  readonly text: string;
}

const fastShutdownMs = 30_000;
const immediateShutdownMs = 10_000;
const tornWriteMs = 300;

export async function readPostmasterPidFile(paths: ClusterPaths): Promise<PostmasterPidFile | undefined> {
  let text: string;
  try {
    text = await readFile(join(paths.clusterDir, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
  const lines = text.split('\n');
  return { pid: positiveInteger(lines[0]), port: positiveInteger(lines[3]), text };
}

/**
 * Whether this process is the server of this cluster, and not one that has inherited its number: PostgreSQL would refuse
 * to start for any living process, and in a container the numbers repeat at every start.
 */
export async function isPostmasterOf(paths: ClusterPaths, pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    try {
      const [cluster, workingFolder] = await Promise.all([
        stat(paths.clusterDir, { bigint: true }),
        stat(`/proc/${pid}/cwd`, { bigint: true }),
      ]);
      return cluster.dev === workingFolder.dev && cluster.ino === workingFolder.ino;
    } catch {
      return false;
    }
  }
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]);
    return stdout.includes(`-D ${paths.clusterDir} `);
  } catch {
    return false;
  }
}

/**
 * Removes a pid file that no server has written, or whose number now belongs to another process. PostgreSQL itself
 * deals with the file of a dead server, and its shared memory still keeps a second server out of the cluster.
 */
export async function discardMisleadingPidFile(paths: ClusterPaths, file: PostmasterPidFile): Promise<void> {
  if (file.pid === undefined) {
    // A server that starts this moment writes its file in two steps.
    await poll(
      async () => ((await readPostmasterPidFile(paths))?.text === file.text ? undefined : true),
      AbortSignal.timeout(tornWriteMs),
    );
  } else if (!processExists(file.pid)) {
    return;
  }
  if ((await readPostmasterPidFile(paths))?.text === file.text) {
    await rm(join(paths.clusterDir, 'postmaster.pid'), { force: true });
  }
}

export interface StartedPostmaster {
  readonly pid: number;
  /** Aborts when the server has ended. */
  readonly ended: AbortSignal;
  /** What this server has logged. */
  logTail(): Promise<string>;
}

/** Starts the server; it is not ready yet when this resolves. It outlives us if we die. */
export async function spawnPostmaster(
  postgresProgram: string,
  paths: ClusterPaths,
  user: ServerUser | undefined,
  settings: Readonly<Record<string, string>>,
): Promise<StartedPostmaster> {
  const log = await open(paths.logFile, 'a', 0o600);
  try {
    const { size: logStart } = await log.stat();
    const child = await spawnPostgresProcess(
      postgresProgram,
      [
        '-D',
        dataDirectoryArgument(paths.clusterDir, user),
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { cwd: paths.clusterDir, user, stdio: ['ignore', log.fd, log.fd] },
    );
    if (child.pid === undefined) {
      throw new EmbeddedPostgresError(`${postgresProgram} was started without a process number.`);
    }
    const ended = new AbortController();
    child.once('exit', () => {
      ended.abort();
    });
    return { pid: child.pid, ended: ended.signal, logTail: () => readFrom(paths.logFile, logStart) };
  } finally {
    await log.close();
  }
}

/**
 * Shuts the server down, whoever started it: fast (open transactions are rolled back, everything committed is on disk),
 * and if that takes too long at once (the next start recovers from the log).
 *
 * @throws EmbeddedPostgresError when the process is still there afterwards
 */
export async function stopPostmaster(paths: ClusterPaths, pid: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGINT', fastShutdownMs],
    ['SIGQUIT', immediateShutdownMs],
  ] as const) {
    if (!(await isPostmasterOf(paths, pid))) {
      return;
    }
    sendSignal(pid, signal);
    const gone = await poll(
      async () => ((await isPostmasterOf(paths, pid)) ? undefined : true),
      AbortSignal.timeout(patienceMs),
    );
    if (gone) {
      return;
    }
  }
  throw new EmbeddedPostgresError(
    `The embedded PostgreSQL (process ${pid}) does not stop; its log is ${paths.logFile}. End it with: kill -9 ${pid}`,
  );
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
      throw error;
    }
  }
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readFrom(path: string, position: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.max(0, size - position);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
    return buffer.toString('utf8', 0, bytesRead).trim();
  } finally {
    await file.close();
  }
}

function positiveInteger(text: string | undefined): number | undefined {
  const value = /^\s*(\d{1,10})\s*$/.exec(text ?? '')?.[1];
  return value === undefined || Number(value) === 0 ? undefined : Number(value);
}
