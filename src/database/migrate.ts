import { Client } from 'pg';
import { createDataSource } from './data-source.js';

/** Any number that nothing else in this database locks. */
const MIGRATION_LOCK_KEY = 7_246_824_001;

/**
 * Brings the schema up to date. Any number of instances may call it at the same time on one database: an advisory lock,
 * which the server releases even when its holder is killed, lets one migrate while the others wait and then find
 * nothing left to do.
 *
 * @param directUrl not through a transaction pooler: the lock belongs to a session
 */
export async function migrateDatabase(directUrl: string): Promise<void> {
  const lockHolder = new Client({ connectionString: directUrl, application_name: 'ratchet migrations' });
  lockHolder.on('error', () => undefined);
  await lockHolder.connect();
  try {
    await lockHolder.query('select pg_advisory_lock($1)', [MIGRATION_LOCK_KEY]);
    const dataSource = createDataSource({ url: directUrl, poolSize: 2, use: 'migrations' });
    await dataSource.initialize();
    try {
      await dataSource.runMigrations({ transaction: 'each' });
    } finally {
      await dataSource.destroy();
    }
  } finally {
    await lockHolder.end();
  }
}
