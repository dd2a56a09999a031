import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Cluster, type Passwords } from './cluster.js';
import { DataDirectoryInUseError, EmbeddedPostgresError, errnoOf, readIfExists } from './errors.js';
import { poll } from './poll.js';
import { OwnPostmaster, choosePort, findPostmaster, type Postmaster } from './postmaster.js';
import { chooseServerUser, findPrograms } from './programs.js';

export interface EmbeddedPostgresOptions {
  /** Created on first use. */
  readonly dataDirectory: string;
  /**
   * What to do when another process owns the server: `fail` (the default), or `join`, which uses the server and leaves
   * it running at `stop`, as a command line tool does beside a running service.
   */
  readonly whenInUse?: 'fail' | 'join' | undefined;
  /** PostgreSQL settings that win over the defaults; a server that runs already keeps those it was started with. */
  readonly serverSettings?: Readonly<Record<string, string>> | undefined;
  /** Gets a line at the first start, when a start takes longer than a second, and when the server ends unexpectedly. */
  readonly onProgress?: ((line: string) => void) | undefined;
}

export interface EmbeddedPostgres {
  /** The database `ratchet` as its owner: a role that may create databases and is no superuser. */
  readonly url: string;
  /** The database `postgres` as the superuser. */
  readonly superuserUrl: string;
  /** Absolute path. */
  readonly dataDirectory: string;
  /** Resolves when the server has ended, by `stop` or unexpectedly; never for one that another process owns. */
  readonly ended: Promise<void>;
  /** Resolves when the server has shut down and no process of it is left. May be called twice. */
  stop(): Promise<void>;
}

const START_MS = 60_000;
const SLOW_MS = 1_000;

/** How long a server may need to notice that its owner has ended. */
const OWNER_END_MS = 2_000;

const LOOPBACK = '127.0.0.1';

const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  max_connections: '200',
  log_checkpoints: 'off',
  // Details quote column values, and credentials may be among them.
  log_error_verbosity: 'terse',
};

const PORT_TAKEN = /could not create any TCP\/IP/;

/** Matches the log of a server that lost a race with another start, or with the last processes of a killed server. */
const RACE_LOST = /"postmaster\.pid" already exists|pre-existing shared memory block/;

/**
 * Starts the PostgreSQL of a data directory and owns it until `stop`. Resolves when it takes connections. The server
 * ends with this process, even if that is killed.
 *
 * @throws EmbeddedPostgresError when it cannot be started; no process is left running then
 * @throws DataDirectoryInUseError, one of those, when another process owns the server
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDirectory = resolve(options.dataDirectory);
  try {
    return await start(dataDirectory, options);
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')) {
      throw new EmbeddedPostgresError(
        `The data directory ${dataDirectory} cannot be used by this user (${String(error)}). ` +
          'Run as the user who created it, or use another data directory.',
        { cause: error },
      );
    }
    throw error;
  }
}

async function start(dataDirectory: string, options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { onProgress: report = () => undefined, serverSettings, whenInUse = 'fail' } = options;
  const cluster = await prepareCluster(dataDirectory, serverSettings?.['fsync'] !== 'off', report);
  let own: OwnPostmaster | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= own?.stop() ?? Promise.resolve());

  /** Looks for the server again each time, because another start may run at the same time. */
  const nextRound = async (): Promise<Postmaster | undefined> => {
    const found = await findPostmaster(cluster);
    if (found === undefined) {
      own = own === undefined || own.hasEnded ? await spawn(cluster, own, serverSettings) : own;
      return undefined;
    }
    if (found.pid !== own?.pid && whenInUse === 'fail') {
      await requireEnd(cluster, found);
    }
    return found.status === 'ready' ? found : undefined;
  };

  let slow: NodeJS.Timeout | undefined;
  try {
    const server = await poll(START_MS, async () => {
      const ready = await nextRound();
      if (ready === undefined) {
        // Not before: a server that runs already is not waited for, however busy the machine is.
        slow ??= setTimeout(report, SLOW_MS, 'Waiting for the embedded PostgreSQL…');
      }
      return ready;
    });
    if (server === undefined) {
      throw new EmbeddedPostgresError(
        `The embedded PostgreSQL was not ready within ${START_MS / 1_000} s; its log is ${cluster.logFile}.`,
      );
    }
    if (server.pid === own?.pid) {
      await writeFile(cluster.ownerFile, `process ${process.pid}\n`);
      await cluster.removeUnfinished();
      own.onceEnded(() => {
        if (stopped === undefined) {
          report('The embedded PostgreSQL has ended; restart this process.');
        }
      });
    }
    const passwords = await cluster.passwords();
    if (passwords === undefined) {
      throw await inUseError(cluster, server);
    }
    const ended = new Promise<void>((resolve) => {
      if (server.pid === own?.pid) {
        own.onceEnded(resolve);
      }
    });
    const urlOf = (role: keyof Passwords): string =>
      `postgres://${role}:${passwords[role]}@${LOOPBACK}:${server.port}/${role}`;
    return { url: urlOf('ratchet'), superuserUrl: urlOf('postgres'), dataDirectory, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(slow);
  }
}

async function prepareCluster(
  dataDirectory: string,
  isFlushed: boolean,
  report: (line: string) => void,
): Promise<Cluster> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const folder = join(dataDirectory, 'postgres');
  const user = await chooseServerUser(join(folder, 'data'));
  // Not before they are needed: a server that runs already needs none.
  let found: Promise<string> | undefined;
  const cluster = new Cluster(folder, () => (found ??= findPrograms(dataDirectory, user)), user);
  if (!(await cluster.exists())) {
    report(`Preparing the embedded PostgreSQL in ${dataDirectory} (first start only)…`);
    await cluster.create(isFlushed);
  }
  return cluster;
}

/** @param previous the attempt before this one, which has ended */
async function spawn(
  cluster: Cluster,
  previous: OwnPostmaster | undefined,
  settings: EmbeddedPostgresOptions['serverSettings'],
): Promise<OwnPostmaster> {
  const log = await previous?.readLog();
  const isPortTaken = log !== undefined && PORT_TAKEN.test(log);
  if (log !== undefined && !isPortTaken && !RACE_LOST.test(log)) {
    throw new EmbeddedPostgresError(`The embedded PostgreSQL in ${cluster.pgdata} did not start. It said:\n${log}`);
  }
  if ((await cluster.passwords()) === undefined) {
    await cluster.renewPasswords();
  }
  const port = await choosePort(cluster, isPortTaken);
  return OwnPostmaster.spawn(cluster, { port, ...SETTINGS, ...settings });
}

/** @throws EmbeddedPostgresError unless the server of another process is about to end */
async function requireEnd(cluster: Cluster, server: Postmaster): Promise<void> {
  const isEnding = await poll(OWNER_END_MS, async () => {
    const now = await findPostmaster(cluster);
    return now?.pid !== server.pid || now.status === 'stopping' || undefined;
  });
  if (isEnding === undefined) {
    throw await inUseError(cluster, server);
  }
}

async function inUseError({ folder, ownerFile }: Cluster, { pid }: Postmaster): Promise<DataDirectoryInUseError> {
  const owner = (await readIfExists(ownerFile))?.trim() ?? 'another process';
  return new DataDirectoryInUseError(
    `The data directory ${dirname(folder)} is in use by ${owner}. Stop that process first, or use another data ` +
      `directory. If it has ended without its PostgreSQL, "kill -INT ${pid}" ends that.`,
  );
}
