import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { clusterExists, clusterPaths, createCluster, readPassword, removeUnfinishedClusters } from './cluster.js';
import { DataDirectoryInUseError, DataDirectoryNotAccessibleError } from './embedded-postgres.errors.js';
import { OwnerLock } from './owner-lock.js';
import { providePostgresBinaries } from './postgres-binaries.js';
import { isPostmasterOf, stopPostmaster } from './postmaster.js';
import { reportWhenSlow, type ReportProgress } from './progress.js';
import { findOrStartServer, type OwnedServer, type ServerPlan, type TakenServer } from './server-start.js';
import { chooseServerUser } from './server-user.js';
import { ensureServiceDatabase, serviceDatabaseUrl, waitForServiceDatabase } from './service-database.js';

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  /** Gets a line for what takes longer than a second, and when the server ends under us. */
  readonly onProgress?: ReportProgress;
  /** PostgreSQL settings that win over ours; a server that runs already keeps those it was started with. */
  readonly serverSettings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Of the service's database, with the password. */
  readonly url: string;
  /** Absolute. */
  readonly dataDir: string;
  /** For the owner: resolves when the server has shut down and no process of it is left. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts the PostgreSQL of this data directory, made on first use, or takes over one whose owner was killed, and owns it
 * until `stop`.
 *
 * @throws DataDirectoryInUseError when a living process owns it
 * @throws EmbeddedPostgresError and its other subclasses when it cannot be started; nothing is left running then
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return withServer(options, (plan, server, report) => {
    if (server.kind === 'taken') {
      throw new DataDirectoryInUseError(plan.paths.dataDir, server.owner);
    }
    return own(plan, server, report);
  });
}

/**
 * For command line tools: uses the server of a running service as its guest (`stop` then leaves it alone), or starts and
 * owns one as `startEmbeddedPostgres` does.
 */
export async function joinOrStartEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return withServer(options, async (plan, server, report) => {
    if (server.kind === 'owned') {
      return own(plan, server, report);
    }
    await waitForServiceDatabase(server.address);
    return {
      url: serviceDatabaseUrl(server.address),
      dataDir: plan.paths.dataDir,
      stop: () => Promise.resolve(),
    };
  });
}

async function withServer(
  options: EmbeddedPostgresOptions,
  use: (plan: ServerPlan, server: OwnedServer | TakenServer, report: ReportProgress) => Promise<EmbeddedPostgres>,
): Promise<EmbeddedPostgres> {
  const report = options.onProgress ?? (() => undefined);
  const dataDir = resolve(options.dataDir);
  try {
    const plan = await prepare(dataDir, options.serverSettings ?? {}, report);
    const server = await reportWhenSlow(report, 'Waiting for the embedded PostgreSQL…', findOrStartServer(plan));
    return await use(plan, server, report);
  } catch (error) {
    const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
    if (error instanceof Error && (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')) {
      throw new DataDirectoryNotAccessibleError(dataDir, error);
    }
    throw error;
  }
}

async function prepare(
  dataDir: string,
  settings: Readonly<Record<string, string>>,
  report: ReportProgress,
): Promise<ServerPlan> {
  const paths = clusterPaths(dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const user = await chooseServerUser(paths.clusterDir);
  const binaries = await reportWhenSlow(
    report,
    'Copying the PostgreSQL programs…',
    providePostgresBinaries(dataDir, user),
  );
  if (!(await clusterExists(paths))) {
    report(`Preparing the embedded PostgreSQL in ${dataDir} (first start only)…`);
    await createCluster(paths, binaries, user);
  }
  return { paths, user, password: await readPassword(paths), postgresProgram: binaries.postgres, settings };
}

async function own(plan: ServerPlan, server: OwnedServer, report: ReportProgress): Promise<EmbeddedPostgres> {
  const { paths } = plan;
  const { client, pid, address } = server;
  const lock = new OwnerLock(client, address, () => isPostmasterOf(paths, pid), report);
  const shutDown = async (): Promise<void> => {
    // The lock goes last: a start in between must not adopt a server that is about to end.
    lock.expectShutdown();
    await reportWhenSlow(report, 'Stopping the embedded PostgreSQL…', stopPostmaster(paths, pid));
    await lock.release();
  };
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= shutDown());
  try {
    await ensureServiceDatabase(client);
    await removeUnfinishedClusters(paths);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: serviceDatabaseUrl(address), dataDir: paths.dataDir, stop };
}
