import { Client } from 'pg';
import { MigrationExecutor } from 'typeorm';
import { createDataSource } from '../database/data-source.js';

/** The one of `migrateDatabase`: what is being applied must not be undone at the same time. */
const MIGRATION_LOCK_KEY = 7_246_824_001;

/**
 * Undoes the latest applied migration in a transaction, while no other process applies or undoes any.
 *
 * @param directUrl not through a transaction pooler: the lock belongs to a session
 * @returns its name; undefined when none has been applied
 */
export async function revertMigration(directUrl: string): Promise<string | undefined> {
  const lockHolder = new Client({ connectionString: directUrl, application_name: 'ratchet migrations' });
  lockHolder.on('error', () => undefined);
  try {
    await lockHolder.connect();
    await lockHolder.query('select pg_advisory_lock($1)', [MIGRATION_LOCK_KEY]);
    const dataSource = await createDataSource({ url: directUrl, poolSize: 2, use: 'migrations' }).initialize();
    try {
      const executor = new MigrationExecutor(dataSource);
      const before = await executor.getExecutedMigrations();
      await executor.undoLastMigration();
      const after = await executor.getExecutedMigrations();
      return before.find((migration) => after.every(({ name }) => name !== migration.name))?.name;
    } finally {
      await dataSource.destroy();
    }
  } finally {
    await lockHolder.end();
  }
}
