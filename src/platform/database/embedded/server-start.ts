import type pg from 'pg';
import type { ClusterPaths } from './cluster.js';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import { connectAsSuperuser, describeOwner, takeOwnership, type ServerAddress } from './owner-lock.js';
import { poll } from './poll.js';
import {
  discardMisleadingPidFile,
  isPostmasterOf,
  readPostmasterPidFile,
  spawnPostmaster,
  stopPostmaster,
} from './postmaster.js';
import { choosePort, loopbackAddress } from './server-port.js';
import type { ServerUser } from './server-user.js';

/** The server of a cluster that exists, and what it takes to run it. */
export interface ServerPlan {
  readonly paths: ClusterPaths;
  readonly user: ServerUser | undefined;
  readonly password: string;
  readonly postgresProgram: string;
  /** These win over ours; a server that runs already keeps those it was started with. */
  readonly settings: Readonly<Record<string, string>>;
}

/** We own this server as long as `client` stays connected. */
export interface OwnedServer {
  readonly kind: 'owned';
  readonly client: pg.Client;
  readonly pid: number;
  readonly address: ServerAddress;
}

/** A living process owns this one. */
export interface TakenServer {
  readonly kind: 'taken';
  /** In words. */
  readonly owner: string;
  readonly address: ServerAddress;
}

const startMs = 60_000;
// The server of a killed owner needs a moment to notice that the owner's connection is gone.
const lockPatienceMs = 1_000;

const baseSettings: Readonly<Record<string, string>> = {
  listen_addresses: loopbackAddress,
  unix_socket_directories: '',
  max_connections: '200',
  log_checkpoints: 'off',
  // Details quote column values, and credentials may be among them.
  log_error_verbosity: 'terse',
};

// What a server says that lost a race with another start, or with the last processes of a killed one.
const passingTrouble = /"postmaster\.pid" already exists|pre-existing shared memory block|could not create any TCP\/IP/;

/**
 * Ends with a server that takes connections: one that runs, or a new one. Each round looks afresh, because another start
 * may be at the same point.
 *
 * @throws EmbeddedPostgresError when there is none; nothing that was started here is left running then
 */
export async function findOrStartServer(plan: ServerPlan): Promise<OwnedServer | TakenServer> {
  const deadline = AbortSignal.timeout(startMs);
  const server = await poll(async () => (await findServer(plan)) ?? (await startServer(plan, deadline)), deadline);
  if (server === undefined) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL was not ready within ${startMs / 1_000} s; its log is ${plan.paths.logFile}.`,
    );
  }
  return server;
}

async function findServer({ paths, password }: ServerPlan): Promise<OwnedServer | TakenServer | undefined> {
  const file = await readPostmasterPidFile(paths);
  if (file?.pid === undefined || file.port === undefined) {
    return undefined;
  }
  const address = { port: file.port, password };
  const client = await connectAsSuperuser(address);
  return client === undefined ? undefined : ownOrLeave(client, file.pid, address);
}

async function startServer(plan: ServerPlan, deadline: AbortSignal): Promise<OwnedServer | TakenServer | undefined> {
  const { paths, user, password, postgresProgram } = plan;
  const file = await readPostmasterPidFile(paths);
  if (file?.pid !== undefined && (await isPostmasterOf(paths, file.pid))) {
    // It is starting, recovering or shutting down.
    return undefined;
  }
  if (file !== undefined) {
    await discardMisleadingPidFile(paths, file);
  }

  const address = { port: await choosePort(paths), password };
  const settings = { port: String(address.port), ...baseSettings, ...plan.settings };
  const postmaster = await spawnPostmaster(postgresProgram, paths, user, settings);
  const client = await poll(() => connectAsSuperuser(address), AbortSignal.any([deadline, postmaster.ended]));
  if (client !== undefined) {
    return ownOrLeave(client, postmaster.pid, address);
  }
  if (!postmaster.ended.aborted) {
    await stopPostmaster(paths, postmaster.pid);
    return undefined;
  }
  const said = await postmaster.logTail();
  if (passingTrouble.test(said)) {
    return undefined;
  }
  throw new EmbeddedPostgresError(`The embedded PostgreSQL in ${paths.clusterDir} did not start. It said:\n${said}`);
}

async function ownOrLeave(
  client: pg.Client,
  pid: number,
  address: ServerAddress,
): Promise<OwnedServer | TakenServer | undefined> {
  try {
    const owned = await poll(
      async () => ((await takeOwnership(client)) ? true : undefined),
      AbortSignal.timeout(lockPatienceMs),
    );
    if (owned) {
      return { kind: 'owned', client, pid, address };
    }
    const owner = await describeOwner(client);
    await client.end();
    return { kind: 'taken', owner, address };
  } catch {
    // The server went away meanwhile: its owner may have been shutting it down.
    await client.end().catch(() => undefined);
    return undefined;
  }
}
