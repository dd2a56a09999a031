import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { IS_PUBLISHED } from '../common/version.js';
import type { Config } from '../config/config.js';
import {
  DatabaseUnusableError,
  isDatabaseUnavailable,
  isPermissionDenied,
  ReadOnlySessionError,
} from './database.errors.js';
import type { DatabaseAddress } from './database.types.js';
import { dueMigrations } from './due-migrations.js';
import { startEmbeddedDatabase } from './embedded-database.js';
import { readAppliedMigrations } from './foreign-tables.js';
import { findMissingFeature } from './server-features.js';
import { listMissingPrivileges } from './service-privileges.js';
import { connectClient, withClient } from './with-client.js';

/** How long a database may take to come up beside the service, as containers started together do, or to fail over. */
const LONGEST_WAIT_MS = 60_000;
const RETRY_PAUSE_MS = 500;

const OLDEST_SERVER_VERSION = 150_000;

const MIGRATE = IS_PUBLISHED
  ? '"ratchet migrate run"'
  : '"npm run migration:run" (in the image: "node dist/cli/migration.js run")';

export interface OpenDatabase {
  readonly address: DatabaseAddress;
  /** Stops the embedded server if this process owns it. Call after every connection is closed. */
  close(): Promise<void>;
}

/**
 * Finds the configured database, or starts the embedded one, and brings its schema up to date. Where the schema is up
 * to date already, a role without the right to change it suffices.
 *
 * @param whenEmbeddedInUse `join`: uses the embedded server of a running service
 * @throws DatabaseUnusableError; nothing is left running then
 */
export async function openDatabase(
  database: Config['database'],
  report: (line: string) => void,
  shutdown: AbortSignal,
  whenEmbeddedInUse: 'fail' | 'join' = 'fail',
): Promise<OpenDatabase> {
  if (database.url === undefined) {
    const server = await startEmbeddedDatabase(database.dataDir, whenEmbeddedInUse, report);
    try {
      await withClient(server.url, (client) => bringSchemaUpToDate(client, server.url));
    } catch (error) {
      await server.stop();
      throw error;
    }
    return { address: { url: server.url, directUrl: server.url }, close: () => server.stop() };
  }
  const address = { url: database.url, directUrl: database.directUrl ?? database.url };
  await onceAvailable(() => prepareDatabase(address), report, shutdown);
  return { address, close: () => Promise.resolve() };
}

/** Waits for the primary of the configured database, and changes nothing. */
export async function waitForPrimary(
  directUrl: string,
  report: (line: string) => void,
  shutdown: AbortSignal,
): Promise<void> {
  await onceAvailable(() => withUsableServer(directUrl, () => Promise.resolve()), report, shutdown);
}

/** Repeatable: a failover may interrupt it anywhere. */
async function prepareDatabase({ url, directUrl }: DatabaseAddress): Promise<void> {
  await withUsableServer(directUrl, async (direct) => {
    const prepare = async (pooled: Client): Promise<void> => {
      await requireFeatures(direct, directUrl);
      await bringSchemaUpToDate(direct, directUrl);
      await requirePrivileges(pooled);
    };
    await (url === directUrl ? prepare(direct) : withUsableServer(url, prepare));
  });
}

async function requireFeatures(direct: Client, directUrl: string): Promise<void> {
  const missing = await findMissingFeature(direct, directUrl);
  if (missing !== undefined) {
    throw new DatabaseUnusableError(
      `The database of DATABASE_URL lacks ${missing}, without which revocations would be missed or migrations run twice. ` +
        'Use PostgreSQL; docs/operations.md lists what works.',
    );
  }
}

/**
 * Tries the due migrations with any role. A role that may not migrate also waits for the lock, so a migration in
 * progress ends first, and then nothing is left to do.
 */
async function bringSchemaUpToDate(direct: Client, directUrl: string): Promise<void> {
  let due: readonly string[] = [];
  try {
    due = dueMigrations(await readAppliedMigrations(direct));
    if (due.length > 0) {
      // TypeORM is a fifth of all code of the service; only migrations use it.
      const { migrateDatabase } = await import('./migrate.js');
      await migrateDatabase(directUrl);
    }
  } catch (error) {
    if (!isPermissionDenied(error)) {
      throw error;
    }
    if (due.length === 0) {
      throw missingPrivilegesError(['select on schema_migrations'], { cause: error });
    }
    throw new DatabaseUnusableError(
      `The role of DATABASE_URL may not change the schema, and the database lacks ${due.join(', ')}. Run ` +
        `${MIGRATE} as the role that owns the schema, and postgres/grants.sql after it.`,
      { cause: error },
    );
  }
}

async function requirePrivileges(client: Client): Promise<void> {
  const missing = await listMissingPrivileges(client);
  if (missing.length > 0) {
    throw missingPrivilegesError(missing);
  }
}

function missingPrivilegesError(missing: readonly string[], options?: ErrorOptions): DatabaseUnusableError {
  return new DatabaseUnusableError(
    `The role of DATABASE_URL lacks privileges: ${missing.join(', ')}. Run postgres/grants.sql as the role that owns ` +
      'the schema.',
    options,
  );
}

/**
 * Runs `attempt` again for as long as the database is unavailable, which includes a standby: it can take no rotation,
 * what it shows may be old, and a failover may be about to make it the primary.
 *
 * @throws DatabaseUnusableError when that lasts for longer than a minute
 */
export async function onceAvailable<T>(
  attempt: () => Promise<T>,
  report: (line: string) => void,
  shutdown: AbortSignal,
): Promise<T> {
  const giveUpAtMs = performance.now() + LONGEST_WAIT_MS;
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isDatabaseUnavailable(error)) {
        throw error;
      }
      if (performance.now() > giveUpAtMs || shutdown.aborted) {
        throw unusable(error);
      }
      if (count === 2) {
        report(`Waiting for the database of DATABASE_URL (${reasonOf(error)})…`);
      }
    }
    await pause(RETRY_PAUSE_MS);
  }
}

function unusable(error: unknown): DatabaseUnusableError {
  return new DatabaseUnusableError(`The database of DATABASE_URL cannot be used: ${reasonOf(error)}`, { cause: error });
}

/**
 * Lends `work` a connection to a server that the service can use.
 *
 * @throws DatabaseUnusableError when the server cannot be used, and an error of `isDatabaseUnavailable` when it cannot be
 *   used yet
 */
async function withUsableServer(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = await connectClient(url, 'service').catch((error: unknown) => {
    throw isDatabaseUnavailable(error) ? error : unusable(error);
  });
  try {
    await requireUsable(client);
    await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Below version 15 the statements have not been tried. */
async function requireUsable(client: Client): Promise<void> {
  const { rows } = await client.query<ServerFacts>(
    `select current_setting('server_version_num')::integer as version,
       pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as is_read_only,
       current_setting('server_encoding') as encoding`,
  );
  const [server] = rows;
  if (server === undefined) {
    throw new Error('no answer');
  }
  if (server.version < OLDEST_SERVER_VERSION) {
    throw new DatabaseUnusableError('DATABASE_URL names a PostgreSQL server older than version 15. Upgrade it.');
  }
  if (server.is_read_only) {
    throw new ReadOnlySessionError();
  }
  // Any other encoding refuses some characters of a user agent; SQL_ASCII takes every byte as it comes.
  if (server.encoding !== 'UTF8' && server.encoding !== 'SQL_ASCII') {
    throw new DatabaseUnusableError('The database of DATABASE_URL is not encoded in UTF8. Create one that is.');
  }
}

interface ServerFacts {
  readonly version: number;
  readonly is_read_only: boolean;
  readonly encoding: string;
}

/** Node's codes for a certificate whose issuer this machine does not trust. */
const UNKNOWN_CERTIFICATE_CODES = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const HOW_TO_NAME_A_CA =
  'Every sslmode but "disable" and "no-verify" verifies the certificate. For a private CA name its file in the URL: ' +
  '?sslmode=verify-full&sslrootcert=/path/to/ca.pem';

/** The driver's message names the server and the role at most. A refused connection has a code and no message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return 'unknown reason';
  }
  const code = 'code' in error ? String(error.code) : undefined;
  const reason = error.message !== '' ? error.message : (code ?? error.name);
  return code !== undefined && UNKNOWN_CERTIFICATE_CODES.has(code) ? `${reason}. ${HOW_TO_NAME_A_CA}` : reason;
}
