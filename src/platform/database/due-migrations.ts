import type { DataSource } from 'typeorm';
import { openForMigrations } from './data-source.js';
import { readAppliedMigrations } from './foreign-tables.js';

/** Returns the migrations of this build that have not been applied, in the order in which they run. */
export function dueMigrations(
  { migrations }: Pick<DataSource, 'migrations'>,
  appliedNames: Iterable<string>,
): string[] {
  const applied = new Set(appliedNames);
  return migrations
    .map((migration) => migration.name ?? migration.constructor.name)
    .filter((name) => !applied.has(name));
}

/** Asks a database which migrations it lacks, without the lock and without any right to change the schema. */
export async function listDueMigrations(directUrl: string): Promise<readonly string[]> {
  const dataSource = await openForMigrations(directUrl, 1);
  try {
    return dueMigrations(dataSource, await readAppliedMigrations(dataSource));
  } finally {
    await dataSource.destroy();
  }
}
