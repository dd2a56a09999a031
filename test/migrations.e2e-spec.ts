import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { AppModule } from '../src/app.module.js';
import { createApp } from '../src/app.setup.js';
import { loadConfig } from '../src/platform/config/config.loader.js';
import { openForMigrations } from '../src/platform/database/data-source.js';
import { migrateDatabase } from '../src/platform/database/migrate.js';
import { SigningKeyUnreadableError } from '../src/keys/keys.errors.js';
import { KeysService } from '../src/keys/keys.service.js';
import { createLogger } from '../src/platform/logging/logger.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

const INSTANCES = 10;
const OTHER_SECRET = `${AUTH_SECRET}-and-another-one`;

describe('migrations', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase('empty');
  });

  afterEach(async () => {
    await database.close();
  });

  it('run once when ten instances bring an empty database up to date at the same time', async () => {
    await Promise.all(Array.from({ length: INSTANCES }, () => migrateDatabase(database.url)));
    const applied = await database.sql<{ name: string }>('select name from schema_migrations order by id');
    expect(applied).toEqual(await withDataSource((dataSource) => expectedNames(dataSource)));
    expect(await database.sql('select count(*)::integer as count from users')).toEqual([{ count: 0 }]);
  });

  it('leave no lock and no connection behind', async () => {
    await migrateDatabase(database.url);
    expect(
      await database.sql(
        `select application_name from pg_stat_activity
         where datname = current_database() and application_name like 'ratchet%'`,
      ),
    ).toEqual([]);
    expect(
      await database.sql(
        `select 1 from pg_locks join pg_database on pg_database.oid = pg_locks.database
         where locktype = 'advisory' and datname = current_database()`,
      ),
    ).toEqual([]);
  });

  it('make exactly the schema that the entities describe', async () => {
    await migrateDatabase(database.url);
    await withDataSource(async (dataSource) => {
      const drift = await dataSource.driver.createSchemaBuilder().log();
      expect(drift.upQueries.map((query) => query.query)).toEqual([]);
    });
  });

  it('keep of several keys that sign the one that was made last, and the others to verify', async () => {
    await migrateDatabase(database.url);
    await withDataSource(async (dataSource) => {
      while (!(await describeSchema(database)).some((line) => line.includes('signing_keys_active_algorithm_key'))) {
        await dataSource.undoLastMigration({ transaction: 'each' });
      }
    });
    await database.sql(
      `insert into signing_keys
         (kid, algorithm, status, public_jwk, private_key_encrypted, encryption_key_id, activated_at)
       values ('older', 'RS256', 'active', '{}', '', 0, now() - interval '1 day'),
              ('newer', 'ES256', 'active', '{}', '', 0, now())`,
    );
    await migrateDatabase(database.url);
    expect(
      await database.sql('select kid, status, retiring_at is null as is_used from signing_keys order by kid'),
    ).toEqual([
      { kid: 'newer', status: 'active', is_used: true },
      { kid: 'older', status: 'retiring', is_used: false },
    ]);
  });

  it('can be taken back one by one down to an empty schema, and run again', async () => {
    await migrateDatabase(database.url);
    const whole = await describeSchema(database);
    await withDataSource(async (dataSource) => {
      for (let count = dataSource.migrations.length; count > 0; count -= 1) {
        await dataSource.undoLastMigration({ transaction: 'each' });
      }
    });
    expect(await describeSchema(database)).toEqual(['relation schema_migrations', 'relation schema_migrations_id_seq']);
    await migrateDatabase(database.url);
    expect(await describeSchema(database)).toEqual(whole);
  });

  async function withDataSource<T>(work: (dataSource: DataSource) => Promise<T> | T): Promise<T> {
    const dataSource = await openForMigrations(database.url);
    try {
      return await work(dataSource);
    } finally {
      await dataSource.destroy();
    }
  }
});

describe('the database itself', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await database.close();
  });

  function insertUser(columns: { readonly email?: string; readonly status?: string; readonly roles?: unknown }) {
    const { email = `${randomUUID()}@example.com`, status = 'active', roles = [] } = columns;
    return database.sql(`insert into users (id, email, password_hash, status, roles) values ($1, $2, '-', $3, $4)`, [
      randomUUID(),
      email,
      status,
      roles,
    ]);
  }

  function insertKey(columns: { readonly algorithm?: string; readonly status?: string }) {
    const { algorithm = 'ES256', status = 'active' } = columns;
    return database.sql(
      `insert into signing_keys (kid, algorithm, status, public_jwk, private_key_encrypted, encryption_key_id)
       values ($1, $2, $3, '{}', '', 0)`,
      [randomUUID(), algorithm, status],
    );
  }

  function insertFamily(id: string) {
    return database.sql(
      `insert into refresh_token_families (id, user_id, secret_hash, generation, key_id, rotated_at, created_at, expires_at)
       values ($1, $1, '', 1, 0, now(), now(), now())`,
      [id],
    );
  }

  it.each([
    { roles: [] },
    { roles: ['admin'] },
    { roles: ['a', 'a_b.c:d-0', 'x'.repeat(64)] },
    { roles: Array.from({ length: 32 }, (_, index) => `role-${index}`) },
  ])('takes role names of the documented alphabet: $roles.length', async (columns) => {
    await expect(insertUser(columns)).resolves.toEqual([]);
  });

  it.each([
    { name: 'upper case', roles: ['Admin'] },
    { name: 'a space', roles: ['two words'] },
    { name: 'a comma', roles: ['a,b'] },
    { name: 'a line break, which would end a header', roles: ['admin\n'] },
    { name: 'a line break inside', roles: ['a\r\nb'] },
    { name: 'no character at all', roles: [''] },
    { name: '65 characters', roles: ['x'.repeat(65)] },
    { name: 'letters beyond ASCII', roles: ['ädmin'] },
    { name: 'null among them', roles: ['admin', null] },
    { name: '33 of them', roles: Array.from({ length: 33 }, (_, index) => `role-${index}`) },
  ])('refuses role names with $name', async ({ roles }) => {
    await expect(insertUser({ roles })).rejects.toMatchObject({ constraint: 'users_roles_check' });
  });

  it('refuses a user without a list of roles', async () => {
    await expect(insertUser({ roles: null })).rejects.toMatchObject({ code: '23502', column: 'roles' });
  });

  it('accepts active and disabled users, and no other status', async () => {
    await insertUser({ status: 'disabled' });
    await expect(insertUser({ status: 'locked' })).rejects.toMatchObject({ constraint: 'users_status_check' });
  });

  it('keeps one account per e-mail, in one spelling, of a length that mail allows', async () => {
    await insertUser({ email: 'ada@example.com' });
    await expect(insertUser({ email: 'ada@example.com' })).rejects.toMatchObject({ constraint: 'users_email_key' });
    await expect(insertUser({ email: 'Ada@example.com' })).rejects.toMatchObject({ constraint: 'users_email_check' });
    await expect(insertUser({ email: `${'a'.repeat(254)}@b.c` })).rejects.toMatchObject({
      constraint: 'users_email_check',
    });
  });

  it('lets one key sign, whatever its algorithm, and one wait to', async () => {
    await insertKey({});
    await insertKey({ status: 'next' });
    await insertKey({ status: 'retiring' });
    await insertKey({ status: 'retiring' });
    const constraint = 'signing_keys_one_active_one_next_key';
    await expect(insertKey({ algorithm: 'RS256' })).rejects.toMatchObject({ constraint });
    await expect(insertKey({ status: 'next', algorithm: 'RS256' })).rejects.toMatchObject({ constraint });
    await expect(insertKey({ algorithm: 'HS256' })).rejects.toMatchObject({
      constraint: 'signing_keys_algorithm_check',
    });
    await expect(insertKey({ status: 'asleep' })).rejects.toMatchObject({ constraint: 'signing_keys_status_check' });
  });

  it('lets an instance that knows no authentication methods open sessions: they record none', async () => {
    await insertFamily(randomUUID());
    expect(await database.sql('select amr, auth_time from refresh_token_families')).toEqual([
      { amr: [], auth_time: null },
    ]);
  });

  it.each(['revoked_at = now()', 'revoked_xid = pg_current_xact_id()', `revoke_reason = 'logout'`])(
    'does not let a session end by halves: %s alone',
    async (assignment) => {
      const id = randomUUID();
      await insertFamily(id);
      await expect(
        database.sql(`update refresh_token_families set ${assignment} where id = $1`, [id]),
      ).rejects.toMatchObject({ constraint: 'refresh_token_families_revocation_check' });
    },
  );
});

describe('signing keys at the start', () => {
  let database: TestDatabase;
  const services: TestService[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await database.close();
  });

  async function boot(environment: Readonly<Record<string, string>> = {}): Promise<TestService> {
    const service = await startService(database, environment);
    services.push(service);
    return service;
  }

  it('ten instances that start together on a database without keys share one key and publish it', async () => {
    const started = await Promise.all(Array.from({ length: INSTANCES }, () => boot()));
    const sets = await Promise.all(started.map((service) => service.client.get('/.well-known/jwks.json')));
    const [first] = sets;
    expect(sets.map((set) => set.body as unknown)).toEqual(started.map(() => first!.body as unknown));
    expect(first!.body).toEqual({
      keys: [
        {
          kty: 'EC',
          crv: 'P-256',
          alg: 'ES256',
          use: 'sig',
          kid: expect.stringMatching(/^[\w-]{43}$/),
          x: expect.stringMatching(/^[\w-]{43}$/),
          y: expect.stringMatching(/^[\w-]{43}$/),
        },
      ],
    });

    // Every one signs with it, and every one believes every other.
    const { pair } = await started[0]!.client.signUpAndIn();
    const answers = await Promise.all(started.map((service) => service.client.me(pair.access_token)));
    expect(answers.map((answer) => answer.status)).toEqual(started.map(() => 200));
  });

  it('a key that another AUTH_SECRET encrypted stops the start, and no other key is made', async () => {
    const service = await boot();
    const { pair } = await service.client.signUpAndIn();
    const keys = 'select kid, status, private_key_encrypted from signing_keys';
    const before = await database.sql(keys);

    const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: OTHER_SECRET, DATABASE_URL: database.url });
    const logger = createLogger({ level: 'silent' });
    const module = AppModule.forRoot(config, { url: database.url, directUrl: database.url });
    const app = await createApp(module, config, logger);
    await expect(app.init()).rejects.toThrow(SigningKeyUnreadableError);
    await app.close();
    expect(await database.sql(keys)).toEqual(before);

    // With the old secret on the accepted list it starts, and nobody has been signed out.
    const moved = await boot({ AUTH_SECRET: OTHER_SECRET, AUTH_SECRET_ACCEPTED: AUTH_SECRET });
    expect((await moved.client.me(pair.access_token)).status).toBe(200);
    await moved.client.rotate(pair.refresh_token);
    expect(await database.sql(keys)).toEqual(before);
  });

  it('the row of a key holds its private half encrypted only', async () => {
    const service = await boot();
    const [row] = await database.sql<{ row: string; private_key_encrypted: Buffer; public_jwk: object }>(
      'select to_jsonb(signing_keys)::text as row, private_key_encrypted, public_jwk from signing_keys',
    );
    const jwk = service.app.get(KeysService).signingKey().privateKey.export({ format: 'jwk' });
    const privateScalar = Buffer.from(jwk.d!, 'base64url');
    expect(privateScalar).toHaveLength(32);
    expect(row!.private_key_encrypted.includes(privateScalar)).toBe(false);
    expect(row!.row).not.toContain(jwk.d);
    expect(row!.row).not.toContain(privateScalar.toString('hex'));
    expect(Object.keys(row!.public_jwk).sort()).toEqual(['crv', 'kty', 'x', 'y']);
  });
});

function expectedNames(dataSource: DataSource): { name: string }[] {
  return dataSource.migrations.map((migration) => ({ name: migration.name ?? migration.constructor.name }));
}

/** Everything that a migration can have made in the schema, by kind and definition. */
async function describeSchema(database: TestDatabase): Promise<string[]> {
  const rows = await database.sql<{ line: string }>(
    `select 'relation ' || relname as line from pg_class where relnamespace = 'public'::regnamespace and relkind <> 'i'
     union all
     select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
     union all
     select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
     union all
     select 'column ' || attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
     from pg_attribute join pg_class on pg_class.oid = attrelid
     where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped
       and relname <> 'schema_migrations'
     union all
     select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
     where connamespace = 'public'::regnamespace and conrelid <> 'schema_migrations'::regclass
     union all
     select indexdef from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'
     order by line`,
  );
  return rows.map((row) => row.line);
}
