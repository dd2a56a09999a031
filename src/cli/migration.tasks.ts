import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { QueryRunner } from 'typeorm';
import { Clock } from '../platform/common/clock.js';
import { openForMigrations } from '../platform/database/data-source.js';
import { startEmbeddedDatabase } from '../platform/database/embedded-database.js';
import { revertMigration } from '../platform/database/migrate.js';
import { type OpenDatabase, openDatabase, waitForPrimary } from '../platform/database/open-database.js';
import { readDatabaseConfig } from './command.config.js';
import { CommandFailedError } from './command.errors.js';
import { migrationClassName, migrationSource } from './migration.source.js';
import type { WriteAnswer } from './run-command.js';
import { type Invocation, noticesTo } from './terminal.js';

/** Beside `dist`, where this file runs. */
const MIGRATIONS_FOLDER = new URL('../../src/platform/database/migrations/', import.meta.url);

export async function applyMigrations(invocation: Invocation, writeAnswer: WriteAnswer): Promise<void> {
  const database = await openConfiguredDatabase(invocation);
  await database.close();
  writeAnswer({ text: 'Every migration has been applied.', json: { up_to_date: true } });
}

/** Opens the database as it is: `openDatabase` would apply due migrations, and one of those would be undone instead. */
export async function revertLatestMigration(
  invocation: Invocation,
  writeAnswer: WriteAnswer,
  options: { readonly mayDeleteProductionData: boolean },
): Promise<void> {
  const { runtime, database } = readDatabaseConfig(invocation);
  if (runtime.environment === 'production' && !options.mayDeleteProductionData) {
    throw new CommandFailedError('Undoing a migration deletes data. Add --yes to do it in production.');
  }
  const { url, directUrl = url, dataDir } = database;
  if (directUrl !== undefined) {
    await waitForPrimary(directUrl, noticesTo(invocation), invocation.interrupted);
    tellReverted(writeAnswer, await revertMigration(directUrl));
    return;
  }
  const server = await startEmbeddedDatabase(dataDir, 'join', noticesTo(invocation));
  try {
    tellReverted(writeAnswer, await revertMigration(server.url));
  } finally {
    await server.stop();
  }
}

function tellReverted(writeAnswer: WriteAnswer, name: string | undefined): void {
  writeAnswer({
    text: name === undefined ? 'There is nothing to undo.' : `Undid ${name}.`,
    json: { reverted: name ?? null },
  });
}

export async function generateMigration(name: string, invocation: Invocation, writeAnswer: WriteAnswer): Promise<void> {
  const database = await openConfiguredDatabase(invocation);
  try {
    const { up, down } = await findSchemaDifferences(database.address.directUrl);
    if (up.length === 0) {
      writeAnswer({
        text: 'No differences between the entities and the database.',
        json: { file: null, class_name: null },
      });
      return;
    }
    const timestampMs = new Clock().now().getTime();
    const file = new URL(`${timestampMs}-${name}.ts`, MIGRATIONS_FOLDER);
    await writeSource(file, migrationSource({ name, timestampMs, up, down }));
    const className = migrationClassName(name, timestampMs);
    writeAnswer({
      text:
        `Wrote ${fileURLToPath(file)}.\n` +
        'Read it, and fix what cannot be generated: names, existing rows, how long locks last.\n' +
        `Then add ${className} to the migrations in src/platform/database/migrations.ts.`,
      json: { file: fileURLToPath(file), class_name: className },
    });
  } finally {
    await database.close();
  }
}

function openConfiguredDatabase(invocation: Invocation): Promise<OpenDatabase> {
  return openDatabase(readDatabaseConfig(invocation).database, noticesTo(invocation), invocation.interrupted, 'join');
}

interface SchemaDifferences {
  readonly up: readonly string[];
  readonly down: readonly string[];
}

/** Finds differences in tables that have an entity. Tables without one and functions are not compared. */
async function findSchemaDifferences(directUrl: string): Promise<SchemaDifferences> {
  const dataSource = await openForMigrations(directUrl);
  const createQueryRunner = dataSource.createQueryRunner.bind(dataSource);
  dataSource.createQueryRunner = (mode) => oneQueryAtATime(createQueryRunner(mode));
  try {
    const { upQueries, downQueries } = await dataSource.driver.createSchemaBuilder().log();
    return {
      up: upQueries.map(({ query }) => query),
      // The last change is undone first.
      down: downQueries.map(({ query }) => query).reverse(),
    };
  } finally {
    await dataSource.destroy();
  }
}

/** TypeORM asks about all arrays of a table at once, which one connection of `pg` warns about, and will refuse. */
function oneQueryAtATime(queryRunner: QueryRunner): QueryRunner {
  const query = queryRunner.query.bind(queryRunner) as (
    ...parameters: Parameters<QueryRunner['query']>
  ) => Promise<unknown>;
  let previous: Promise<unknown> = Promise.resolve();
  queryRunner.query = (...parameters: Parameters<QueryRunner['query']>) => {
    const result = previous.then(() => query(...parameters));
    previous = result.catch(() => undefined);
    return result as Promise<never>;
  };
  return queryRunner;
}

async function writeSource(file: URL, source: string): Promise<void> {
  try {
    await writeFile(file, source, { flag: 'wx' });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new CommandFailedError('There are differences, but no sources to write a migration to: use a checkout.');
    }
    throw error;
  }
}
