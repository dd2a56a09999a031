import type { Client } from 'pg';
import { DatabaseUnusableError } from './database.errors.js';
import { SERVICE_PRIVILEGES } from './service-privileges.js';

/**
 * Returns the names of the migrations that the database records. A table `schema_migrations` of another program, in
 * another schema of the search path, is none of ours.
 *
 * @throws DatabaseUnusableError when such a table is where ours belongs
 */
export async function readAppliedMigrations(client: Client): Promise<readonly string[]> {
  const { rows: tables } = await client.query<{ name: string; is_in_the_way: boolean; is_ours: boolean }>(
    `select format('%I.%I', nspname, relname) as name, nspname = current_schema() as is_in_the_way,
       (select count(*) = 3 from pg_attribute
        where attrelid = pg_class.oid and attname in ('id', 'timestamp', 'name') and not attisdropped) as is_ours
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where pg_class.oid = to_regclass('schema_migrations')`,
  );
  const [table] = tables;
  if (table?.is_ours === false && table.is_in_the_way) {
    throw foreignTableError([table.name]);
  }
  if (table?.is_ours !== true) {
    return [];
  }
  const { rows } = await client.query<{ name: string }>('select name from schema_migrations');
  return rows.map(({ name }) => name);
}

/**
 * Call it with the migrations locked: another instance may be creating these tables otherwise.
 *
 * @throws DatabaseUnusableError when no migration has run and a table of another program is where one of ours belongs
 */
export async function requireNoForeignTables(client: Client): Promise<void> {
  if ((await readAppliedMigrations(client)).length > 0) {
    return;
  }
  const ours = new Set(SERVICE_PRIVILEGES.map(({ table }) => table).filter((table) => table !== 'schema_migrations'));
  const { rows: found } = await client.query<{ name: string }>(
    `select format('%I.%I', nspname, relname) as name
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where nspname = current_schema() and relname = any($1) and relkind <> 'i' order by relname`,
    [[...ours]],
  );
  if (found.length > 0) {
    throw foreignTableError(found.map(({ name }) => name));
  }
}

function foreignTableError(names: readonly string[]): DatabaseUnusableError {
  return new DatabaseUnusableError(
    `The database of DATABASE_URL has tables of another program where those of the service belong: ${names.join(', ')}. ` +
      'Use a database of its own, or a schema of its own: "create schema ratchet authorization <role>" and ' +
      '"alter role <role> set search_path = ratchet" for the role of DATABASE_URL.',
  );
}
