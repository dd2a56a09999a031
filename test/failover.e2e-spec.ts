import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase, waitForPrimary } from '../src/platform/database/open-database.js';
import type { Response } from 'supertest';
import { Clock } from '../src/platform/common/clock.js';
import { Heartbeat } from '../src/tokens/heartbeat.js';
import { RevokedSessionsService } from '../src/tokens/revoked-sessions.service.js';
import { eventually } from './support/eventually.js';
import { askGuard } from './support/guard-probe.js';
import { HonestClient } from './support/honest-client.js';
import { PostgresPair, PostgresSeed, type PostgresServer } from './support/postgres-pair.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { expectProblem } from './support/problem.js';
import { newIdempotencyKey, sessionIdOf, TestClient, type TokenPair } from './support/test-client.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';
import { useDatabase, useProxy } from './support/use-service.js';

/** Within which an instance serves again after the first connection that can write. */
const RECOVERY_MS = 2_000;

let seed: PostgresSeed;

beforeAll(async () => {
  seed = await PostgresSeed.create();
});

afterAll(() => seed.remove());

/** One address that leads to one server, and can be led to another. */
class Address extends PostgresProxy {
  private constructor(private readonly target: { url: string }) {
    super(target);
  }

  static async to(server: PostgresServer): Promise<Address> {
    const address = new Address({ url: server.url });
    await address.listen();
    return address;
  }

  /** New connections lead there; open ones stay where they are, as with DNS. */
  leadTo(server: PostgresServer): void {
    this.target.url = server.url;
  }
}

describe('an instance whose database cannot be written for a while', () => {
  let pair: PostgresPair;
  let address: Address;
  let service: TestService;

  beforeEach(async () => {
    pair = await PostgresPair.start(seed, 'asynchronous');
    address = await Address.to(pair.primary);
    service = await startService(address);
  });

  afterEach(async () => {
    await service.stop();
    await address.close();
    await pair.stop();
  });

  async function cutConnections(): Promise<void> {
    await pair.primary.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'ratchet%'`,
    );
  }

  // A session that begins in either stays read-only for as long as it is open.
  it.each([
    {
      name: 'a read-only phase',
      begin: async () => {
        await pair.primary.sql('alter database postgres set default_transaction_read_only = on');
        await cutConnections();
      },
      end: () => pair.primary.sql('begin; set transaction read write; alter database postgres reset all; commit'),
    },
    {
      name: 'a standby behind its address',
      begin: async () => {
        address.leadTo(pair.standby);
        await cutConnections();
      },
      end: async () => {
        address.leadTo(pair.primary);
        await pair.primary.sql('select');
      },
    },
  ])('says so, and serves again within 2 s of its end: $name', async ({ begin, end }) => {
    const { client } = service;
    const { pair: tokens, email, password } = await client.signUpAndIn();
    await begin();
    await eventually(async () => (await client.login({ email, password })).status === 503, { withinMs: 5_000 });
    await eventually(async () => (await client.get('/health/ready')).status === 503, { withinMs: 10_000 });

    // Requests on all connections at once, so that none is closed for being idle.
    const statuses: number[] = [];
    let isOver = false;
    const load = Promise.all(
      Array.from({ length: 12 }, async () => {
        while (!isOver) {
          statuses.push((await client.logout({ refreshToken: tokens.refresh_token })).status);
          await pause(10);
        }
      }),
    );
    await eventually(() => statuses.length > 48, { withinMs: 10_000 });
    expect(new Set(statuses)).toEqual(new Set([503]));
    expectUnavailable(await client.get('/health/ready'), 'temporarily_unavailable');

    await end();
    const isServing = async (): Promise<boolean> =>
      statuses.slice(-24).every((status) => status === 204) && (await client.get('/health/ready')).status === 200;
    await eventually(isServing, { withinMs: RECOVERY_MS });
    isOver = true;
    await load;
    await client.signIn({ email, password });
  });
});

describe('a synchronous failover', () => {
  let pair: PostgresPair;
  let address: Address;

  beforeEach(async () => {
    pair = await PostgresPair.start(seed, 'synchronous');
    address = await Address.to(pair.primary);
  });

  afterEach(async () => {
    await address.close();
    await pair.stop();
  });

  it('invariants 4 to 6: under load on three instances it loses no refresh and no logout, and ends no session', async () => {
    // Or a rotation that the database has lost would be forgiven.
    const start = (): Promise<TestService> => startService(address, { REFRESH_ROLL_FORWARD: 'off' });
    const services = [await start(), await start(), await start()];
    const [{ client }] = services as [TestService];
    let turn = 0;
    const anyUrl = (): string => services[(turn += 1) % services.length]!.url;
    const sessions = await Promise.all(Array.from({ length: 14 }, () => client.signUpAndIn()));
    const honest = sessions
      .slice(0, 6)
      .map(({ pair: tokens }) => new HonestClient(tokens, () => ({ url: anyUrl(), timeoutMs: 5_000 })));
    const countUsed = (): number => honest.reduce((sum, each) => sum + each.used.length, 0);
    const ended: TokenPair[] = [];
    let isOver = false;
    const load = [
      ...honest.map(async (each) => {
        while (!isOver && each.signedOutBy === undefined) {
          await each.refresh();
        }
      }),
      // One logout after the other, before, during and after.
      (async () => {
        for (const { pair: tokens } of sessions.slice(6)) {
          const used = countUsed();
          const answer = await new TestClient(anyUrl()).logout({ refreshToken: tokens.refresh_token });
          if (answer.status === 204) {
            ended.push(tokens);
          }
          await eventually(() => isOver || countUsed() > used + 10, { withinMs: 20_000 });
        }
      })(),
    ];
    await eventually(() => countUsed() > 40, { withinMs: 20_000 });
    const killedAtMs = performance.now();
    await pair.primary.kill();
    address.refuse();
    await pair.standby.promote();
    address.leadTo(pair.standby);
    const usedBefore = countUsed();
    await address.resume();
    await eventually(() => countUsed() > usedBefore, { withinMs: 20_000 });
    process.stdout.write(`Refreshes again ${Math.round(performance.now() - killedAtMs)} ms after the kill.\n`);
    await eventually(() => countUsed() > usedBefore + 60, { withinMs: 30_000 });
    isOver = true;
    await Promise.all(load);

    expect(honest.map(({ signedOutBy }) => signedOutBy)).toEqual(honest.map(() => undefined));
    expect(ended.length).toBeGreaterThan(3);
    for (const tokens of ended) {
      for (const service of services) {
        await eventually(async () => (await askGuard(service.client, tokens.access_token)).status === 401, {
          withinMs: 5_000,
        });
      }
      expectProblem(await client.refresh(tokens.refresh_token), 'session_revoked');
    }
    for (const each of honest) {
      await client.rotate(each.pair.refresh_token, newIdempotencyKey());
      expectProblem(await client.refresh(each.used[Math.floor(each.used.length / 2)]!), 'refresh_token_reused');
    }
    await Promise.all(services.map((service) => service.stop()));
  });

  it('leaves no instance believing the primary that was replaced for longer than FENCE_SECONDS', async () => {
    const feed = await Address.to(pair.primary);
    const fed = await startService(address, { DATABASE_DIRECT_URL: feed.url, FENCE_SECONDS: '10' });
    const revoked = fed.app.get(RevokedSessionsService);
    const { pair: tokens } = await fed.client.signUpAndIn();

    // The old primary lives on, and all but the feed is led to the new one.
    await pair.standby.promote();
    address.leadTo(pair.standby);
    const near = await startService(address);
    expect((await near.client.logout({ refreshToken: tokens.refresh_token })).status).toBe(204);
    expect((await askGuard(fed.client, tokens.access_token)).status).toBe(400);

    const restoreClock = moveMonotonicClock(fed, 10_000);
    await eventually(() => revoked.ageSeconds() < 1, { withinMs: 5_000 });
    expect(revoked.heartbeatAgeSeconds()).toBeGreaterThan(10);
    expectUnavailable(await askGuard(fed.client, tokens.access_token), 'temporarily_unavailable');
    expectUnavailable(await fed.client.get('/auth/revocations'), 'temporarily_unavailable');
    expectUnavailable(await fed.client.get('/health/ready'), 'temporarily_unavailable');

    // Its open connections stay with the old primary.
    feed.leadTo(pair.standby);
    await eventually(async () => (await askGuard(fed.client, tokens.access_token)).status !== 503, {
      withinMs: 15_000,
    });
    expectProblem(await askGuard(fed.client, tokens.access_token), 'access_token_revoked');
    restoreClock();
    await Promise.all([near.stop(), fed.stop()]);
    await feed.close();
  });

  it('that has no standby left lets commits wait: outcome_unknown, no second rotation, and verification goes on', async () => {
    const service = await startService(address);
    const { client } = service;
    const { pair: tokens } = await client.signUpAndIn();
    const key = newIdempotencyKey();
    await pair.standby.kill();
    const refreshing = client.refresh(tokens.refresh_token, key);
    await eventually(() => isWaitingForStandby(pair.primary), { withinMs: 10_000 });
    // The service goes on asking for 8 s; its connections give up after 7 s.
    const restoreClock = moveMonotonicClock(service, 3_000);
    let believed = 0;
    const answer = await Promise.race([refreshing, verifyUntilOver()]);
    expectUnavailable(answer, 'outcome_unknown');
    expect(believed).toBeGreaterThan(10);
    expect(service.logs.some(({ event }) => event === 'heartbeat_lost')).toBe(true);
    // It cancels no commit that waits: that would acknowledge it.
    expect(await isWaitingForStandby(pair.primary)).toBe(true);

    await pair.standby.follow(pair.primary);
    await pair.isStreaming('sync');
    const next = await client.rotate(tokens.refresh_token, key);
    await client.rotate(next.refresh_token);
    const [row] = await pair.primary.sql('select generation from refresh_token_families');
    expect(row).toEqual({ generation: 3 });
    restoreClock();
    await service.stop();

    /** Never resolves while the set is current. */
    async function verifyUntilOver(): Promise<Response> {
      for (;;) {
        const guarded = await askGuard(client, tokens.access_token);
        if (guarded.status !== 400) {
          return guarded;
        }
        believed += 1;
        await pause(20);
      }
    }
  });

  async function isWaitingForStandby(server: PostgresServer): Promise<boolean> {
    const rows = await server.sql(
      `select 1 from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'ratchet'`,
    );
    return rows.length > 0;
  }

  describe('during a start', () => {
    it('waits while there is only a standby, on ten instances, and goes on at its promotion', async () => {
      await pair.primary.kill();
      address.leadTo(pair.standby);
      const reports: string[] = [];
      const opening = Array.from({ length: 10 }, () => open(address.url, reports));
      await eventually(() => reports.length === 10, { withinMs: 20_000 });
      expect(new Set(reports)).toEqual(new Set([expect.stringContaining('standby')]));
      await pair.standby.promote();
      await Promise.all(opening);
      const services = await Promise.all([startService(address), startService(address)]);
      await services[0].client.signUpAndIn();
      await Promise.all(services.map((service) => service.stop()));
    });

    it('repeats a migration that the failover interrupted', async () => {
      await pair.primary.sql('drop schema public cascade; create schema public');
      const interrupted = address.nextCut();
      address.cutNext(/create unlogged table rate_limits/, 'before');
      const opening = open(address.url, []);
      await interrupted;
      address.leadTo(pair.standby);
      await pair.primary.kill();
      await pair.standby.promote();
      await opening;
      const names = await pair.standby.sql<{ name: string }>('select name from schema_migrations');
      expect(names).toHaveLength(new Set(names.map(({ name }) => name)).size);
      const service = await startService(address);
      await service.client.signUpAndIn();
      await service.stop();
    });

    it('ends in a sentence when it is given up, in the service and in the commands alike', async () => {
      await pair.primary.kill();
      address.leadTo(pair.standby);
      const signal = AbortSignal.abort();
      await expect(open(address.url, [], signal)).rejects.toMatchObject({
        name: 'DatabaseUnusableError',
        message: expect.stringContaining('the server is a standby'),
      });
      await expect(waitForPrimary(address.url, () => undefined, signal)).rejects.toMatchObject({
        name: 'DatabaseUnusableError',
      });
    });
  });
});

describe('an asynchronous failover that loses commits', () => {
  it('has its lost logouts put back by the instances that remember them, and its lost refreshes honoured', async () => {
    const pair = await PostgresPair.start(seed, 'asynchronous');
    const address = await Address.to(pair.primary);
    const [near, far] = [await startService(address), await startService(address)];
    const kept = await near.client.signUpAndIn();
    const lost = await near.client.signUpAndIn();
    const disabled = await near.client.signUpAndIn();
    await pair.isCaughtUp();

    await pair.standby.setting('primary_conninfo', `''`);
    await pair.isAlone();
    const cursor = cursorOf(await far.client.get('/auth/revocations?wait=0'));
    const rotated = await near.client.rotate(kept.pair.refresh_token);
    expect((await near.client.logout({ refreshToken: lost.pair.refresh_token })).status).toBe(204);
    expect((await near.client.logoutAll(disabled.pair.access_token)).status).toBe(204);
    for (const { pair: tokens } of [lost, disabled]) {
      await eventually(async () => (await askGuard(far.client, tokens.access_token)).status === 401, {
        withinMs: RECOVERY_MS,
      });
    }
    const laterCursor = cursorOf(await far.client.get(`/auth/revocations?after=${cursor}&wait=0`));

    await pair.primary.kill();
    await pair.standby.promote();
    address.leadTo(pair.standby);
    const lostIds = [lost, disabled].map(({ pair: tokens }) => sessionIdOf(tokens)).sort();
    const ended = 'select id::text, revoke_reason from refresh_token_families where revoked_at is not null order by id';
    await eventually(async () => (await pair.standby.sql(ended)).length === 2, { withinMs: RECOVERY_MS });
    expect(await pair.standby.sql(ended)).toEqual(lostIds.map((id) => ({ id, revoke_reason: 'restored' })));
    for (const { client } of [near, far]) {
      await eventually(async () => (await client.get('/health/ready')).status === 200, { withinMs: RECOVERY_MS });
      for (const { pair: tokens } of [lost, disabled]) {
        expectProblem(await askGuard(client, tokens.access_token), 'access_token_revoked');
        expectProblem(await client.refresh(tokens.refresh_token), 'session_revoked');
      }
    }
    const told = [near, far].flatMap(({ logs }) => logs.filter(({ event }) => event === 'revocations_restored'));
    expect(told.reduce((sum, { count }) => sum + Number(count), 0)).toBe(2);

    // A follower whose cursor is of the former history misses none, whichever instance it asks.
    for (const after of [cursor, laterCursor]) {
      for (const { client } of [near, far]) {
        const page = await client.get(`/auth/revocations?after=${after}&wait=0`);
        expect((page.body as { revoked: string[] }).revoked).toEqual(expect.arrayContaining(lostIds));
      }
    }
    const late = await startService(address);
    expectProblem(await askGuard(late.client, lost.pair.access_token), 'access_token_revoked');

    await far.client.rotate(rotated.refresh_token);
    // The services of one process share Nest's logger.
    expect(late.logs.some(({ event }) => event === 'acknowledged_commits_lost')).toBe(true);
    await Promise.all([near, far, late].map((service) => service.stop()));
    await address.close();
    await pair.stop();
  });
});

describe('a crash of the database server', () => {
  it('begins another epoch of the feed, also when only a session crashed: ids of transactions may come again', async () => {
    const server = await seed.server('crashed');
    await server.start();
    const service = await startService(server);
    const { client } = service;
    const { pair: tokens } = await client.signUpAndIn();
    await client.logout({ refreshToken: tokens.refresh_token });
    const epochs = [await epochNow()];
    for (const crash of [() => server.crashSession(), () => server.restart()]) {
      await crash();
      await eventually(async () => !epochs.includes(await epochNow()), { withinMs: 10_000 });
      epochs.push(await epochNow());
      expectProblem(await askGuard(client, tokens.access_token), 'access_token_revoked');
    }
    await service.stop();
    await server.stop();

    async function epochNow(): Promise<string> {
      let epoch: string | undefined;
      await eventually(
        async () => {
          const page = await client.get('/auth/revocations?wait=0');
          epoch = page.status === 200 ? cursorOf(page).split('.')[0] : undefined;
          return epoch !== undefined;
        },
        { withinMs: 10_000 },
      );
      return epoch!;
    }
  });
});

/** Moves the clock by which an instance measures ages; returns what moves it back. */
function moveMonotonicClock({ app }: TestService, byMs: number): () => void {
  const clock = app.get(Clock);
  clock.monotonicMs = () => performance.now() + byMs;
  return () => {
    Reflect.deleteProperty(clock, 'monotonicMs');
  };
}

function cursorOf(page: Response): string {
  return (page.body as { cursor: string }).cursor;
}

describe('a heartbeat', () => {
  const database = useDatabase();
  const line = useProxy(database);

  it('goes on when it is told to connect anew while it connects', async () => {
    line.freeze();
    let beats = 0;
    const count = (): void => {
      beats += 1;
    };
    const heartbeat = new Heartbeat(line.url, true, new Clock(), count, () => undefined);
    heartbeat.start();
    await eventually(() => line.connections === 1, { withinMs: 5_000 });
    heartbeat.renew();
    await line.resume();
    await eventually(() => beats > 0, { withinMs: 4_000 });
    await heartbeat.stop();
    expect(await database.sql('select 1 from instances')).toEqual([]);
  });
});

async function open(url: string, reports: string[], shutdown = new AbortController().signal): Promise<void> {
  const database = { url, directUrl: url, poolSize: 1, dataDir: '' };
  const opened = await openDatabase(database, (line) => reports.push(line), shutdown);
  await opened.close();
}
