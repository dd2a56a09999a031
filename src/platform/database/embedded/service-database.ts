import type pg from 'pg';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import { connectIfRunning, type ServerAddress } from './owner-lock.js';
import { poll } from './poll.js';
import { loopbackAddress } from './server-port.js';

const roleName = 'ratchet';
const databaseName = 'ratchet';
const guestPatienceMs = 15_000;

/**
 * Makes the service's role and database unless they exist. The role is what a managed PostgreSQL would give the service:
 * no superuser, but it may create databases, which the test suite does.
 */
export async function ensureServiceDatabase(superuser: pg.Client): Promise<void> {
  // The stored verifier of the other role is copied, so that no password stands in a query text.
  await superuser.query(`
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${roleName}') THEN
        EXECUTE format('CREATE ROLE ${roleName} LOGIN CREATEDB PASSWORD %L',
                       (SELECT rolpassword FROM pg_authid WHERE rolname = current_user));
      END IF;
    END $$`);
  const { rowCount } = await superuser.query('SELECT FROM pg_database WHERE datname = $1', [databaseName]);
  if (rowCount === 0) {
    await superuser.query(`CREATE DATABASE ${databaseName} OWNER ${roleName}`);
  }
}

export function serviceDatabaseUrl({ port, password }: ServerAddress): string {
  return `postgres://${roleName}:${password}@${loopbackAddress}:${port}/${databaseName}`;
}

/** For a guest, who may come while the owner is still at its first start. */
export async function waitForServiceDatabase(address: ServerAddress): Promise<void> {
  const client = await poll(
    () => connectIfRunning(address, { user: roleName, database: databaseName }),
    AbortSignal.timeout(guestPatienceMs),
  );
  if (client === undefined) {
    throw new EmbeddedPostgresError(
      'The embedded PostgreSQL runs, but its owner has not made the database. Wait until the service is ready.',
    );
  }
  await client.end();
}
