import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { RevokedSessionsService } from '../src/tokens/revoked-sessions.service.js';
import { eventually } from './support/eventually.js';
import { askVerify, expectDenied, expectDeniedInTime, expectLetThrough } from './support/gateway-probe.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { ENDINGS, MAX_SESSIONS } from './support/session-endings.js';
import type { TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startService, type TestService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

const KILL_INTERVAL_MS = 250;

const ENVIRONMENT = { MAX_SESSIONS_PER_USER: String(MAX_SESSIONS) };

describe('a gateway that asks any of three instances', () => {
  let database: TestDatabase;
  let acting: TestService;
  let others: readonly TestService[];

  beforeAll(async () => {
    database = await createTestDatabase();
    const [first, ...rest] = await Promise.all([
      startService(database, ENVIRONMENT),
      startService(database, ENVIRONMENT),
      startService(database, ENVIRONMENT),
    ]);
    acting = first;
    others = rest;
  });

  afterAll(async () => {
    await Promise.all([acting, ...others].map((service) => service.stop()));
    await database.close();
  });

  it.each(ENDINGS)('is told of $name at once where it happened, and within a second elsewhere', async ({ end }) => {
    const { pair, ...account } = await acting.client.signUpAndIn();
    await Promise.all([acting, ...others].map((service) => expectLetThrough(service, pair.access_token)));
    const ended = await end(acting, account, pair);
    await expectDenied(acting, ended);
    await Promise.all(others.map((service) => expectDeniedInTime(service, ended)));
  });

  it('is told in time while the connections that listen are being killed all the time', async () => {
    const killer = new AbortController();
    let killed = 0;
    const killing = (async (): Promise<void> => {
      while (!killer.signal.aborted) {
        const rows = await database.sql(
          // One that does not listen yet lives on: on a busy machine connecting takes longer than the interval.
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'ratchet revocations'
             and query <> '' and query not ilike 'listen %'`,
        );
        killed += rows.length;
        await pause(KILL_INTERVAL_MS);
      }
    })();
    try {
      for (const { end } of ENDINGS) {
        const { pair, ...account } = await acting.client.signUpAndIn();
        const ended = await end(acting, account, pair);
        await expectDenied(acting, ended);
        await Promise.all(others.map((service) => expectDeniedInTime(service, ended)));
      }
    } finally {
      killer.abort();
      await killing;
    }
    expect(killed).toBeGreaterThan(3);
  });

  it('is told by an instance that has been restarted in between, from its first answer on', async () => {
    const { pair: before } = await acting.client.signUpAndIn();
    const { pair: during } = await acting.client.signUpAndIn();
    const stopped = await startService(database);
    await expectLetThrough(stopped, before.access_token);
    await stopped.stop();
    await acting.client.logout({ refreshToken: before.refresh_token });

    const starting = startService(database);
    await acting.client.logout({ refreshToken: during.refresh_token });
    const restarted = await starting;
    try {
      await expectDenied(restarted, [before.access_token]);
      await expectDeniedInTime(restarted, [during.access_token]);
    } finally {
      await restarted.stop();
    }
  });
});

describe('a gateway that goes on asking while the database is away', () => {
  const MAX_STALENESS_SECONDS = 1;
  const ASKERS = 16;

  const database = useDatabase();
  const line = useProxy(database);
  const service = useInstance(line, { REVOCATION_MAX_STALENESS_SECONDS: String(MAX_STALENESS_SECONDS) });
  const near = useInstance(database);

  afterEach(async () => {
    await line.resume();
  });

  it.each([
    {
      loss: 'gone',
      lose: (): void => {
        line.refuse();
      },
    },
    {
      loss: 'silent',
      lose: (): void => {
        line.freeze();
      },
    },
  ])(
    'is answered while the news is fresh enough, then 503, and then again without a rush on the database: $loss',
    async ({ lose }) => {
      const { pair } = await near.client.signUpAndIn();
      const { pair: endedMeanwhile } = await near.client.signUpAndIn();
      const answers: Answer[] = [];
      const isOver = new AbortController();
      const load = Promise.all(Array.from({ length: ASKERS }, () => ask(pair, answers, isOver.signal)));
      try {
        await eventually(() => answers.length > ASKERS, { withinMs: 5_000 });
        lose();
        const goneAtMs = performance.now();
        await near.client.logout({ refreshToken: endedMeanwhile.refresh_token });
        await eventually(() => answers.at(-1)?.status === 503, { withinMs: 5_000 });
        const staleCount = answers.length;
        await eventually(() => answers.length > staleCount + 3 * ASKERS, { withinMs: 10_000 });
        const lastLetThrough = answers.findLast(({ status }) => status === 200);
        expect(lastLetThrough!.askedAtMs - goneAtMs).toBeLessThanOrEqual(MAX_STALENESS_SECONDS * 1_000);

        const statements: string[] = [];
        line.cutWhen((statement) => {
          statements.push(statement);
          return undefined;
        });
        const connectionsBefore = line.connections;
        const resumedAtMs = performance.now();
        await line.resume();
        await eventually(() => answers.at(-1)?.status === 200, { withinMs: 10_000 });
        const backCount = answers.length;
        await expectDenied(service, [endedMeanwhile.access_token]);
        await eventually(() => answers.length > backCount + 5 * ASKERS, { withinMs: 5_000 });
        // The feed's connection, and one for the keys that every instance reads now and then.
        expect(line.connections - connectionsBefore).toBeLessThanOrEqual(3);
        // On a slow machine this takes longer, and each second has two polls and the beginning of a heartbeat.
        const furtherSeconds = Math.floor((performance.now() - resumedAtMs) / 1_000);
        expect(statements.length).toBeLessThanOrEqual(10 + 4 * furtherSeconds);
      } finally {
        isOver.abort();
        await load;
      }
      const phases = answers.map(({ status }) => status).filter((status, index, all) => status !== all[index - 1]);
      expect(new Set(phases)).toEqual(new Set([200, 503]));
    },
  );

  interface Answer {
    readonly status: number;
    readonly askedAtMs: number;
  }

  async function ask(pair: TokenPair, answers: Answer[], isOver: AbortSignal): Promise<void> {
    while (!isOver.aborted) {
      const askedAtMs = performance.now();
      const { status } = await askVerify(service, pair.access_token);
      answers.push({ status, askedAtMs });
    }
  }
});

describe('the revocation feed of an instance', () => {
  it('polls at most every 20 ms, however many notifications arrive', async () => {
    const database = await createTestDatabase();
    const line = await PostgresProxy.start(database.url);
    const service = await startService(line);
    try {
      let polls = 0;
      line.cutWhen((statement) => {
        polls += statement.includes('pg_current_snapshot') ? 1 : 0;
        return undefined;
      });
      const startedAtMs = performance.now();
      for (let count = 0; count < 300; count += 1) {
        await database.sql(`select pg_notify('ratchet_revocations', '')`);
      }
      const tookMs = performance.now() - startedAtMs;
      expect(polls).toBeGreaterThan(0);
      expect(polls).toBeLessThanOrEqual(tookMs / 20 + 2);
    } finally {
      await service.stop();
      await line.close();
      await database.close();
    }
  });

  it('does not follow a server that has become a standby, which may show an old state', async () => {
    const database = await createTestDatabase();
    // What a standby answers; the real function is shadowed in this database.
    await database.sql('create table recovery (is_on boolean)');
    await database.sql(
      `create function public.pg_current_wal_lsn() returns pg_lsn language plpgsql as $$
       begin
         if exists (select from public.recovery) then
           raise exception 'recovery is in progress' using errcode = 'object_not_in_prerequisite_state';
         end if;
         return pg_catalog.pg_current_wal_lsn();
       end $$`,
    );
    await database.sql(
      `alter database ${new URL(database.url).pathname.slice(1)} set search_path = public, pg_catalog`,
    );
    const service = await startService(database, { REVOCATION_MAX_STALENESS_SECONDS: '1' });
    try {
      const { pair } = await service.client.signUpAndIn();
      await expectLetThrough(service, pair.access_token);
      await database.sql('insert into recovery values (true)');
      await eventually(async () => (await askVerify(service, pair.access_token)).status === 503, { withinMs: 3_000 });
      // It has looked again since, and stays away.
      await eventually(() => service.app.get(RevokedSessionsService).ageSeconds() > 2, { withinMs: 3_000 });
      expect((await askVerify(service, pair.access_token)).status).toBe(503);
      await database.sql('delete from recovery');
      await eventually(async () => (await askVerify(service, pair.access_token)).status === 200, { withinMs: 3_000 });
    } finally {
      await service.stop();
      await database.close();
    }
  });
});
