import type { DataSource } from 'typeorm';
import { openForMigrations } from './data-source.js';

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
    const [table] = await dataSource.query<{ is_there: boolean }[]>(
      `select to_regclass('schema_migrations') is not null as is_there`,
    );
    const applied =
      table?.is_there === true ? await dataSource.query<{ name: string }[]>('select name from schema_migrations') : [];
    return dueMigrations(
      dataSource,
      applied.map(({ name }) => name),
    );
  } finally {
    await dataSource.destroy();
  }
}
