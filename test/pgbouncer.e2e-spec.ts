import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../src/platform/database/open-database.js';
import { eventually } from './support/eventually.js';
import { expectDenied, expectDeniedInTime, expectLetThrough } from './support/gateway-probe.js';
import { holdLock } from './support/held-lock.js';
import { isPgBouncerInstalled, PgBouncer } from './support/pgbouncer.js';
import { expectProblem } from './support/problem.js';
import { ENDINGS, MAX_SESSIONS } from './support/session-endings.js';
import { newIdempotencyKey, sessionIdOf } from './support/test-client.js';
import { createTestDatabase } from './support/test-database.js';
import { testRun } from './support/test-run.js';
import { startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance } from './support/use-service.js';

const describeWithPgBouncer = isPgBouncerInstalled ? describe : describe.skip;
if (!isPgBouncerInstalled) {
  process.stderr.write('SKIPPED: test/pgbouncer needs pgbouncer on the path (apt-get install pgbouncer)\n');
}

const ENVIRONMENT = { MAX_SESSIONS_PER_USER: String(MAX_SESSIONS) };

/** Fewer than an instance's own pool has, so that transactions really move between connections. */
const POOL_SIZE = 6;

const SETUPS: readonly {
  readonly setup: string;
  readonly ignoredStartupParameters?: string;
  readonly hasDirectUrl: boolean;
}[] = [
  { setup: 'DATABASE_URL alone, through PgBouncer', hasDirectUrl: false },
  {
    setup: 'DATABASE_URL alone, through a PgBouncer that swallows start-up options',
    ignoredStartupParameters: 'options',
    hasDirectUrl: false,
  },
  { setup: 'DATABASE_URL through PgBouncer, DATABASE_DIRECT_URL past it', hasDirectUrl: true },
];

describeWithPgBouncer.each(SETUPS)('three instances with $setup', ({ ignoredStartupParameters, hasDirectUrl }) => {
  const database = useDatabase();
  let bouncer: PgBouncer;

  beforeAll(async () => {
    bouncer = await PgBouncer.start(database.url, {
      poolSize: POOL_SIZE,
      ...(ignoredStartupParameters !== undefined && { ignoredStartupParameters }),
    });
  });

  afterAll(() => bouncer.stop());

  const start = (): TestService =>
    useInstance(database, () => ({
      ...ENVIRONMENT,
      DATABASE_URL: bouncer.url,
      ...(hasDirectUrl && { DATABASE_DIRECT_URL: database.url }),
    }));
  const acting = start();
  const others = [start(), start()];

  it.each(ENDINGS)('$name is denied at once there, and within a second elsewhere', async ({ end }) => {
    const { pair, ...account } = await acting.client.signUpAndIn();
    await Promise.all([acting, ...others].map((service) => expectLetThrough(service, pair.access_token)));
    const ended = await end(acting, account, pair);
    await expectDenied(acting, ended);
    await Promise.all(others.map((service) => expectDeniedInTime(service, ended)));
  });

  it('many sessions are refreshed at the same time on all of them, and a reuse ends only its own', async () => {
    const all = [acting, ...others];
    const sessions = await Promise.all(Array.from({ length: 12 }, () => acting.client.signUpAndIn()));
    const last = await Promise.all(
      sessions.map(async ({ pair }, index) => {
        let token = pair.refresh_token;
        for (let round = 0; round < 5; round += 1) {
          token = (await all[(index + round) % all.length]!.client.rotate(token, newIdempotencyKey())).refresh_token;
        }
        return token;
      }),
    );
    const [reused, ...honest] = last;
    expectProblem(await acting.client.refresh(sessions[0]!.pair.refresh_token), 'refresh_token_reused');
    expectProblem(await acting.client.refresh(reused!), 'refresh_token_reused');
    await Promise.all(honest.map((token) => acting.client.rotate(token)));
  });

  it('a revocation that commits late is not lost', async () => {
    const { pair } = await acting.client.signUpAndIn();
    const { pair: later } = await acting.client.signUpAndIn();
    const held = await holdLock(
      database,
      `update refresh_token_families
       set revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id(), revoke_reason = 'logout' where id = $1`,
      [sessionIdOf(pair)],
    );
    await acting.client.logout({ refreshToken: later.refresh_token });
    await Promise.all(others.map((service) => expectDeniedInTime(service, [later.access_token])));
    await held.release();
    await Promise.all([acting, ...others].map((service) => expectDeniedInTime(service, [pair.access_token])));
  });

  it('no instance listens on a connection of the pooler', () => {
    // It says so of a notification that reaches a connection which nobody is using.
    expect(bouncer.log).not.toMatch(/got packet 'A'/);
  });
});

describeWithPgBouncer('a start through PgBouncer', () => {
  it('migrates an empty database once, from several instances at the same time, and leaves no lock behind', async () => {
    const database = await createTestDatabase('empty');
    const bouncer = await PgBouncer.start(database.url, { poolSize: 20 });
    try {
      const open = (): Promise<unknown> => openWith(bouncer.url);
      await Promise.all([open(), open(), open()]);
      await open();
      const [applied] = await database.sql<{ names: number; distinct: number }>(
        'select count(*)::integer as names, count(distinct name)::integer as distinct from schema_migrations',
      );
      expect(applied!.names).toBe(applied!.distinct);
      expect(applied!.names).toBeGreaterThan(0);
      const locks = await database.sql(
        `select 1 from pg_locks join pg_database on pg_database.oid = pg_locks.database
         where locktype = 'advisory' and datname = current_database()`,
      );
      expect(locks).toEqual([]);
    } finally {
      await bouncer.stop();
      await database.close();
    }
  });

  it('is refused where commits are acknowledged before they are on disk, which the service cannot change there', async () => {
    const database = await createTestDatabase();
    await database.sql(`alter database ${new URL(database.url).pathname.slice(1)} set synchronous_commit = off`);
    const bouncer = await PgBouncer.start(database.url);
    try {
      await expect(startService(bouncer)).rejects.toMatchObject({
        name: 'DatabaseUnusableError',
        message: expect.stringContaining('synchronous_commit'),
      });
      // Without the pooler it can.
      const service = await startService(database);
      await service.stop();
    } finally {
      await bouncer.stop();
      await database.close();
    }
  });
});

describeWithPgBouncer('the feed behind PgBouncer', () => {
  it('begins again when the pooler has been led to another history of the database', async () => {
    const database = await createTestDatabase();
    // What a promoted standby tells; the real function is shadowed in this database.
    await database.sql('create table history (system_identifier bigint)');
    await database.sql('insert into history values (1)');
    await database.sql(
      'create function public.pg_control_system() returns setof history language sql as $$ table public.history $$',
    );
    await database.sql(
      `alter database ${new URL(database.url).pathname.slice(1)} set search_path = public, pg_catalog`,
    );
    const bouncer = await PgBouncer.start(database.url);
    const service = await startService(bouncer);
    try {
      const before = await service.client.get('/auth/revocations');
      await database.sql('update history set system_identifier = 2');
      await eventually(
        async () =>
          epochOf((await service.client.get('/auth/revocations')).body) !== epochOf(before.body) &&
          service.logs.some(({ event }) => event === 'revocation_feed_lost'),
        { withinMs: 3_000 },
      );
    } finally {
      await service.stop();
      await bouncer.stop();
      await database.close();
    }
  });
});

function epochOf(page: unknown): string | undefined {
  return (page as { cursor: string }).cursor.split('.')[0];
}

async function openWith(url: string): Promise<void> {
  const opened = await openDatabase(
    { url, directUrl: url, poolSize: 10, dataDir: testRun().runDir },
    () => undefined,
    new AbortController().signal,
  );
  await opened.close();
}
