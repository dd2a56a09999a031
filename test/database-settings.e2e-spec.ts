import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, TLSSocket } from 'node:tls';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateDatabase, revertMigration } from '../src/platform/database/migrate.js';
import { openDatabase } from '../src/platform/database/open-database.js';
import { DatabaseService } from '../src/platform/database/database.service.js';
import { SessionSupport } from '../src/platform/database/database.types.js';
import { expectDenied, expectDeniedInTime, expectLetThrough } from './support/gateway-probe.js';
import { isPgBouncerInstalled, PgBouncer } from './support/pgbouncer.js';
import { ServiceProcess } from './support/service-process.js';
import { newIdempotencyKey } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { testRun } from './support/test-run.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';

/** Every default that an administrator may have set and that a statement, or the reading of a result, depends on. */
const OTHER_DEFAULTS: Readonly<Record<string, string>> = {
  datestyle: 'SQL, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kathmandu',
  client_encoding: 'LATIN1',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  transform_null_equals: 'on',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  exit_on_error: 'on',
  synchronous_commit: 'off',
  statement_timeout: '1ms',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '1ms',
};

describe('a database whose defaults are all set the other way', () => {
  let database: TestDatabase;
  let services: readonly TestService[];

  beforeAll(async () => {
    database = await createTestDatabase('empty');
    const statements = Object.entries(OTHER_DEFAULTS).map(
      ([name, value]) => `alter database ${nameOf(database)} set ${name} = '${value}'`,
    );
    // In one round trip: each next connection has the defaults already.
    await database.sql(statements.join('; '));
    const opened = await openDatabase(
      { url: database.url, directUrl: database.url, poolSize: 10, dataDir: testRun().runDir },
      () => undefined,
      new AbortController().signal,
    );
    await opened.close();
    services = await Promise.all([startService(database), startService(database)]);
  });

  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.close();
    // The scan after the suite reads all tables.
    const client = new Client({ connectionString: testRun().serverUrl });
    await client.connect();
    await client.query(`alter database ${nameOf(database)} reset all`);
    await client.end();
  });

  it('is migrated and served as any other: accounts, sessions, keys and ends of sessions', async () => {
    const [one, other] = services as [TestService, TestService];
    const { pair, ...account } = await one.client.signUpAndIn();
    const me = await one.client.get('/auth/me', pair.access_token);
    expect(me).toMatchObject({ status: 200, body: { email: account.email } });
    const { created_at: createdAt } = me.body as { created_at: string };
    expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(60_000);
    const next = await other.client.rotate(pair.refresh_token, newIdempotencyKey());
    await expectLetThrough(one, next.access_token);
    expect((await other.client.get('/health/ready')).status).toBe(200);
    await one.client.logout({ refreshToken: next.refresh_token });
    await expectDenied(one, [next.access_token]);
    await expectDeniedInTime(other, [next.access_token]);
    expect(one.logs.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });
});

describe('a DATABASE_URL with options of its own', () => {
  it('keeps them, and the service adds its own, which win', async () => {
    const database = await createTestDatabase();
    const url = new URL(database.url);
    url.searchParams.set('options', '-c statement_timeout=0 -c work_mem=8MB -c synchronous_commit=off');
    const service = await startService({ url: url.href });
    try {
      const [row] = await service.app.get(DatabaseService).query(
        `select current_setting('work_mem') as work_mem, current_setting('statement_timeout') as statement_timeout,
             current_setting('synchronous_commit') as synchronous_commit`,
      );
      expect(row).toEqual({ work_mem: '8MB', statement_timeout: '5s', synchronous_commit: 'on' });
      // Without them LISTEN and prepared statements would be given up, as behind a pooler.
      const { isKept, isKeptDirectly } = service.app.get(SessionSupport);
      expect({ isKept, isKeptDirectly }).toEqual({ isKept: true, isKeptDirectly: true });
    } finally {
      await service.stop();
      await database.close();
    }
  });
});

describe('a database that another program uses', () => {
  const open = async (url: string): Promise<void> => {
    const database = { url, directUrl: url, poolSize: 10, dataDir: testRun().runDir };
    await (await openDatabase(database, () => undefined, new AbortController().signal)).close();
  };

  it.each([
    ['schema_migrations', 'version text'],
    ['users', 'id integer'],
    ['signing_keys', 'id integer'],
  ])('with a table %s is left alone by every command, which names the table and the way out', async (table, column) => {
    const database = await createTestDatabase('empty');
    try {
      await database.sql(`create table ${table} (${column})`);
      for (const use of [open, migrateDatabase, revertMigration]) {
        await expect(use(database.url)).rejects.toMatchObject({
          name: 'DatabaseUnusableError',
          message: expect.stringMatching(
            new RegExp(`public\\.${table}\\. .*create schema ratchet.*search_path`),
          ) as unknown,
        });
      }
      // The way out, by the URL.
      await database.sql('create schema ratchet');
      const url = new URL(database.url);
      url.searchParams.set('options', '-c search_path=ratchet,public');
      await open(url.href);
      await open(url.href);
      const [applied] = await database.sql<{ count: number }>(
        'select count(*)::integer as count from ratchet.schema_migrations',
      );
      expect(applied?.count).toBeGreaterThan(0);
    } finally {
      await database.close();
    }
  });
});

describe('a database whose certificate this machine does not know', () => {
  it('is refused with the line that names its CA', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ratchet-tls-'));
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const subject = ['-days', '2', '-subj', '/CN=127.0.0.1', '-keyout', key, '-out', certificate];
    execFileSync('openssl', ['req', '-x509', '-nodes', '-newkey', 'rsa:2048', ...subject], { stdio: 'ignore' });
    const context = createSecureContext({ key: await readFile(key), cert: await readFile(certificate) });
    const server = createServer((socket) => {
      // The request for TLS is the first message of a connection.
      socket
        .on('error', () => undefined)
        .once('data', () => {
          socket.write('S');
          new TLSSocket(socket, { isServer: true, secureContext: context }).on('error', () => undefined);
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `postgres://ratchet@127.0.0.1:${port}/ratchet?sslmode=require`;
    try {
      await expect(
        openDatabase(
          { url, directUrl: url, poolSize: 1, dataDir: folder },
          () => undefined,
          new AbortController().signal,
        ),
      ).rejects.toMatchObject({
        name: 'DatabaseUnusableError',
        message: expect.stringMatching(
          /self-signed certificate[.;] .*\?sslmode=verify-full&sslrootcert=\/path\/to\/ca\.pem$/,
        ),
      });
    } finally {
      server.close();
      await rm(folder, { recursive: true });
    }
  });
});

describe('a database that speaks the protocol of PostgreSQL and is another', () => {
  // The real functions are shadowed in these databases.
  it.each([
    {
      lacks: 'transaction ids',
      shadow: `create function public.pg_current_snapshot() returns pg_snapshot language plpgsql as $$
        begin raise exception 'unimplemented' using errcode = '0A000'; end $$`,
    },
    {
      lacks: 'advisory locks',
      shadow: 'create function public.pg_try_advisory_xact_lock(bigint) returns boolean language sql return true',
    },
  ])('is refused at the start for its lack of $lacks', async ({ lacks, shadow }) => {
    const database = await createTestDatabase();
    await database.sql(shadow);
    await database.sql(`alter database ${nameOf(database)} set search_path = public, pg_catalog`);
    const { url } = database;
    const opening = openDatabase(
      { url, directUrl: url, poolSize: 1, dataDir: '' },
      () => undefined,
      new AbortController().signal,
    );
    await expect(opening).rejects.toMatchObject({
      name: 'DatabaseUnusableError',
      message: expect.stringContaining(lacks) as unknown,
    });
    await database.close();
  });
});

describe('variables of PostgreSQL in the shell', () => {
  /** Each would keep the driver from connecting, lead it elsewhere, or change what it reads. */
  const SHELL = {
    PGHOST: '192.0.2.1',
    PGPORT: '1',
    PGUSER: 'shell-user',
    PGPASSWORD: 'pw-of-the-shell-k3Vq9Zx7',
    PGDATABASE: 'elsewhere',
    PGOPTIONS: '-c search_path=pg_temp',
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGBINARY: '1',
    PGREPLICATION: 'database',
    PGCLIENT_ENCODING: 'LATIN1',
    PGAPPNAME: 'shell',
    PGCONNECT_TIMEOUT: '1',
    PGPASSFILE: '/dev/null',
  };

  it('change nothing for a service that starts on an empty database, and are said once', async () => {
    const database = await createTestDatabase('empty');
    const service = new ServiceProcess({ ...SHELL, DATABASE_URL: database.url, AUTH_SECRET });
    try {
      const client = await service.listening();
      await client.signUpAndIn();
      expect(await database.sql(`select count(*)::integer as count from public.users`)).toEqual([{ count: 1 }]);
      expect(service.logged('variables_ignored')).toEqual([
        expect.objectContaining({ level: 'warn', names: expect.arrayContaining(Object.keys(SHELL)) as unknown }),
      ]);
      service.signal('SIGTERM');
      expect(await service.ended()).toEqual({ code: 0, signal: null });
    } finally {
      await service.kill();
      await database.close();
    }
  });
});

describe.skipIf(!isPgBouncerInstalled)('a pooler that settings cannot pass', () => {
  it('is refused with the lines to run, one for each default that the service depends on', async () => {
    const database = await createTestDatabase();
    await database.sql(
      ['default_transaction_isolation', 'synchronous_commit', 'array_nulls', 'extra_float_digits']
        .map((name) => `alter database ${nameOf(database)} set ${name} = '${OTHER_DEFAULTS[name] ?? ''}'`)
        .join('; '),
    );
    const bouncer = await PgBouncer.start(database.url);
    try {
      await expect(startService(bouncer)).rejects.toMatchObject({
        name: 'DatabaseUnusableError',
        message: expect.stringMatching(
          /"alter role … set extra_float_digits = '1'", "alter role … set array_nulls = 'on'", "alter role … set default_transaction_isolation = 'read committed'", "alter role … set synchronous_commit = 'on'"/,
        ) as unknown,
      });
    } finally {
      await bouncer.stop();
      await database.close();
    }
  });
});

function nameOf(database: Pick<TestDatabase, 'url'>): string {
  return new URL(database.url).pathname.slice(1);
}
