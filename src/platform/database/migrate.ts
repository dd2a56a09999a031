import { type DataSource, MigrationExecutor } from 'typeorm';
import { openForMigrations } from './data-source.js';
import { requireNoForeignTables } from './foreign-tables.js';
import { LOCKS } from './locks.js';
import { connectClient } from './with-client.js';

/**
 * Brings the schema up to date. Any number of instances may call it at the same time on one database: an advisory lock,
 * which the server releases even when its holder is killed, lets one migrate while the others wait and then find
 * nothing left to do.
 */
export async function migrateDatabase(directUrl: string): Promise<void> {
  await withMigrationsLocked(directUrl, (dataSource) => dataSource.runMigrations({ transaction: 'each' }));
}

/**
 * Undoes the latest applied migration in a transaction, under the same lock.
 *
 * @returns its name; undefined when none has been applied
 */
export async function revertMigration(directUrl: string): Promise<string | undefined> {
  return withMigrationsLocked(directUrl, async (dataSource) => {
    const executor = new MigrationExecutor(dataSource);
    const before = await executor.getExecutedMigrations();
    await executor.undoLastMigration();
    const after = await executor.getExecutedMigrations();
    return before.find((migration) => after.every(({ name }) => name !== migration.name))?.name;
  });
}

async function withMigrationsLocked<T>(directUrl: string, work: (dataSource: DataSource) => Promise<T>): Promise<T> {
  const lockHolder = await connectClient(directUrl, 'migrations', { application_name: 'ratchet migrations' });
  try {
    // The lock belongs to the transaction: behind a transaction pooler, a lock of the session would stay with the
    // pooler's connection and block others forever. A role or server may limit how long a transaction idles.
    await lockHolder.query('begin');
    await lockHolder.query('set local idle_in_transaction_session_timeout = 0');
    await lockHolder.query('select pg_advisory_xact_lock($1)', [LOCKS.migrations]);
    await requireNoForeignTables(lockHolder);
    const dataSource = await openForMigrations(directUrl);
    try {
      return await work(dataSource);
    } finally {
      await dataSource.destroy();
    }
  } finally {
    await lockHolder.end();
  }
}
