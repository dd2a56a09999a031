import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { copyDataDir } from './support/data-dir.js';
import { eventually } from './support/eventually.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { recordStatements } from './support/statement-log.js';
import { ROTATION } from './support/statements.js';
import { claimsOf, newIdempotencyKey, type TokenPair } from './support/test-client.js';
import { connectTo, type TestDatabase } from './support/test-database.js';
import { testRun } from './support/test-run.js';
import { startService } from './support/test-service.js';

const FAMILIES = 4;
const ROTATIONS_PER_FAMILY = 250;
const ROTATIONS = FAMILIES * ROTATIONS_PER_FAMILY;

/** The server publishes what a connection has counted when it closes, or a while later. */
const STATISTICS_DELAY_MS = 15_000;

/** Suits a machine that does much else; alone it takes a few seconds. */
const LONGEST_RUN_MS = 180_000;

interface Statistics {
  readonly rows: number;
  readonly inserted: number;
  readonly updated: number;
  readonly updatedHot: number;
  readonly deleted: number;
  readonly pages: number;
  readonly commits: number;
}

describe(`what ${ROTATIONS} rotations cost`, () => {
  let server: EmbeddedPostgres;
  let database: TestDatabase;
  let before: Statistics;
  let after: Statistics;
  /** Read from the wire between the service and the database. */
  let statements: readonly string[];

  /** What the first and the last access token of each family say of the sign-in. */
  let signIns: readonly unknown[];
  let signInsAfterwards: readonly unknown[];

  /** Each is a commit of its own. */
  let looks = 0;

  async function look<Row extends object>(statement: string): Promise<Row[]> {
    looks += 1;
    return database.sql<Row>(statement);
  }

  async function statistics(): Promise<Statistics> {
    const [row] = await look<Statistics>(
      `select (select count(*)::integer from refresh_token_families) as rows, n_tup_ins::integer as inserted,
         n_tup_upd::integer as updated, n_tup_hot_upd::integer as "updatedHot", n_tup_del::integer as deleted,
         (pg_relation_size(relid) / current_setting('block_size')::integer)::integer as pages,
         (select xact_commit::integer from pg_stat_database where datname = current_database()) as commits
       from pg_stat_user_tables where relname = 'refresh_token_families'`,
    );
    return row!;
  }

  beforeAll(async () => {
    // On a server of its own: transactions of other tests would keep old versions of rows from being pruned.
    const dataDirectory = join(testRun().runDir, 'rotation-cost');
    await copyDataDir(dataDirectory);
    server = await startEmbeddedPostgres({ dataDirectory, serverSettings: { autovacuum: 'off', fsync: 'off' } });
    database = connectTo(server.url);
    const proxy = await PostgresProxy.start(database.url);
    const signingIn = await startService(database);
    const account = await signingIn.client.signUp();
    const pairs = await Promise.all(Array.from({ length: FAMILIES }, () => signingIn.client.signIn(account)));
    await signingIn.stop();
    await eventually(async () => (await statistics()).inserted === FAMILIES, { withinMs: STATISTICS_DELAY_MS });
    before = await statistics();
    looks = 0;

    // What is due once a minute stays out of the count, however slow the machine is.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const service = await startService({ url: proxy.url }).finally(() => vi.useRealTimers());
    statements = recordStatements(proxy);
    // One after the other: a page that several connections look at cannot be pruned, and here all rows share one.
    const latest = [...pairs];
    for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
      const family = rotation % FAMILIES;
      const key = rotation % 3 === 0 ? newIdempotencyKey() : undefined;
      latest[family] = await service.client.rotate(latest[family]!.refresh_token, key);
    }
    signIns = pairs.map(signInOf);
    signInsAfterwards = latest.map(signInOf);
    await service.stop();
    await proxy.close();
    await eventually(async () => (await statistics()).updated === ROTATIONS, { withinMs: STATISTICS_DELAY_MS });
    after = await statistics();
  }, LONGEST_RUN_MS);

  afterAll(async () => {
    await database.close();
    await server.stop();
  });

  it('invariant 7: not a single row, neither new nor deleted: one per family, as after the logins', () => {
    expect(after).toMatchObject({ rows: FAMILIES, inserted: before.inserted, deleted: 0 });
  });

  it('one update each and no other statement', () => {
    expect(statements.filter((statement) => !ROTATION.test(statement))).toEqual([]);
    expect(statements).toHaveLength(ROTATIONS);
    expect(after.updated - before.updated).toBe(ROTATIONS);
  });

  it('one commit each', () => {
    const commits = after.commits - before.commits;
    expect(commits).toBeGreaterThanOrEqual(ROTATIONS);
    // The polls of the feed are commits as well, some a second.
    expect(commits - looks).toBeLessThan(ROTATIONS * 2);
  });

  it('nothing of what the access tokens say of the sign-in', () => {
    expect(signInsAfterwards).toEqual(signIns);
    expect(signIns).toEqual(signIns.map(() => ({ auth_time: expect.any(Number), acr: 'aal1', amr: ['pwd'] })));
  });

  it('no index: at least 99 of 100 updates are heap-only, and pruning keeps the table small', () => {
    expect(after.updatedHot / after.updated).toBeGreaterThanOrEqual(0.99);
    // Without pruning it would be 30 pages or so.
    expect(after.pages).toBeLessThanOrEqual(8);
  });
});

function signInOf({ access_token }: TokenPair): unknown {
  const { auth_time, acr, amr } = claimsOf(access_token);
  return { auth_time, acr, amr };
}
