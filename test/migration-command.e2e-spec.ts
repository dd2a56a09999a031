import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrateDatabase } from '../src/platform/database/migrate.js';
import { copyCheckout } from './support/checkout-copy.js';
import { postgresProcessesOf } from './support/embedded/postgres-processes.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { type CommandResult, RunningCommand, runCommand } from './support/run-command.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { useDatabase } from './support/use-service.js';

describe('the migration command', () => {
  const database = useDatabase();
  let checkout: string;

  function environment(url = database.url): Record<string, string> {
    return { NODE_ENV: 'test', DATABASE_URL: url };
  }

  function migration(args: readonly string[], settings = environment()): Promise<CommandResult> {
    return runCommand(process.execPath, ['dist/cli/migration.js', ...args], {
      environment: settings,
      workingDirectory: checkout,
    });
  }

  beforeAll(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'ratchet-migration-'));
    await copyCheckout(checkout);
  });

  afterAll(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  it('brings an empty database up to date, and takes back and applies again its latest migration', async () => {
    const empty = await createTestDatabase('empty');
    const settings = environment(empty.url);
    expect(await migration(['run'], settings)).toEqual({
      exitCode: 0,
      stdout: 'Every migration has been applied.\n',
      stderr: '',
    });
    const latest = await latestMigration(empty);
    expect(await tables(empty)).toEqual(await tables(database));
    expect(latest).toBe(await latestMigration(database));

    expect(await migration(['revert'], settings)).toEqual({
      exitCode: 0,
      stdout: `Undid ${String(latest)}.\n`,
      stderr: '',
    });
    expect(await latestMigration(empty)).not.toBe(latest);

    expect((await migration(['run'], settings)).exitCode).toBe(0);
    expect(await tables(empty)).toEqual(await tables(database));
    expect(await latestMigration(empty)).toBe(latest);
    await empty.close();
  });

  it('needs no setting but the database, in production too', async () => {
    expect(await migration(['run'], { NODE_ENV: 'production', DATABASE_URL: database.url })).toEqual({
      exitCode: 0,
      stdout: 'Every migration has been applied.\n',
      stderr: '',
    });
  });

  it('undoes nothing while another process applies migrations', async () => {
    const schema = await tables(database);
    const held = await holdLock(database, 'lock table schema_migrations', []);
    const applying = migrateDatabase(database.url);
    await untilMigrationsWait('relation');
    const revert = new RunningCommand(process.execPath, ['dist/cli/migration.js', 'revert'], {
      environment: environment(),
      workingDirectory: checkout,
    });
    await untilMigrationsWait('advisory');
    expect(await tables(database)).toEqual(schema);
    await held.release();
    await applying;
    expect((await revert.end()).exitCode).toBe(0);
    await migrateDatabase(database.url);
  });

  it('undoes nothing in production unless it is told to', async () => {
    const latest = await latestMigration(database);
    const production = { NODE_ENV: 'production', DATABASE_URL: database.url };
    expect(await migration(['revert'], production)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'Undoing a migration deletes data. Add --yes to do it in production.\n',
    });
    expect(await latestMigration(database)).toBe(latest);
  });

  it('finds no differences in a database that is up to date, and writes nothing', async () => {
    await mkdir(join(checkout, 'src/platform/database/migrations'), { recursive: true });
    expect(await migration(['generate', 'nothing-new'])).toEqual({
      exitCode: 0,
      stdout: 'No differences between the entities and the database.\n',
      stderr: '',
    });
    expect(await readdir(join(checkout, 'src/platform/database/migrations'))).toEqual([]);
  });

  it('writes a migration of what the database lacks, and says what to do with it', async () => {
    const folder = join(checkout, 'src/platform/database/migrations');
    await mkdir(folder, { recursive: true });
    await database.sql('alter table signing_keys drop column retiring_at');

    const { exitCode, stdout, stderr } = await migration(['generate', 'let-keys-retire']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const [file = ''] = await readdir(folder);
    const [, timestampMs = ''] = /^(\d{13})-let-keys-retire\.ts$/.exec(file) ?? [];
    expect(await readFile(join(folder, file), 'utf8')).toBe(
      `import type { MigrationInterface, QueryRunner } from 'typeorm';

export class LetKeysRetire${timestampMs} implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(\`
      ALTER TABLE "signing_keys" ADD "retiring_at" TIMESTAMP WITH TIME ZONE\`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(\`
      ALTER TABLE "signing_keys" DROP COLUMN "retiring_at"\`);
  }
}
`,
    );
    expect(stdout).toContain(`Wrote ${join(folder, file)}.\n`);
    expect(stdout).toContain(
      `Then add LetKeysRetire${timestampMs} to the migrations in src/platform/database/migrations.ts.\n`,
    );
    await rm(join(folder, file));

    const answer: unknown = JSON.parse((await migration(['generate', 'let-keys-retire', '--json'])).stdout);
    const [second = ''] = await readdir(folder);
    expect(answer).toEqual({
      file: join(folder, second),
      class_name: `LetKeysRetire${second.slice(0, timestampMs.length)}`,
    });
    await rm(join(folder, second));
    await database.sql('alter table signing_keys add column retiring_at timestamptz');
  });

  it('refuses a name that does not fit a file', async () => {
    const { exitCode, stdout, stderr } = await migration(['generate', '../Evil']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('It must be lower-case words joined by hyphens.');
  });

  it('works on the embedded PostgreSQL too, and leaves no process behind', async () => {
    const dataDir = join(checkout, 'data');
    const embedded = { NODE_ENV: 'test', DATA_DIR: dataDir };
    expect((await migration(['run'], embedded)).stdout).toBe('Every migration has been applied.\n');
    expect((await migration(['revert'], embedded)).stdout).toMatch(/^Undid \w+\.\n$/);
    expect(await postgresProcessesOf(dataDir)).toEqual([]);
  });

  /** Waits until one process that has to migrate waits for that kind of lock. */
  async function untilMigrationsWait(lock: 'relation' | 'advisory'): Promise<void> {
    await eventually(
      async () => {
        const waiting = await database.sql(
          `select pid from pg_stat_activity
           where datname = current_database() and application_name = 'ratchet migrations' and wait_event = $1`,
          [lock],
        );
        return waiting.length === 1;
      },
      // Generous: a whole process may have to start first.
      { withinMs: 40_000 },
    );
  }
});

async function tables(database: TestDatabase): Promise<string[]> {
  const rows = await database.sql<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' order by tablename`,
  );
  return rows.map(({ name }) => name);
}

async function latestMigration(database: TestDatabase): Promise<string | undefined> {
  const [row] = await database.sql<{ name: string }>(
    'select name from schema_migrations order by timestamp desc limit 1',
  );
  return row?.name;
}
