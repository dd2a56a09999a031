import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase, waitForPrimary } from '../src/platform/database/open-database.js';
import { eventually } from './support/eventually.js';
import { PostgresPair, PostgresSeed, type PostgresServer } from './support/postgres-pair.js';
import { PostgresProxy } from './support/postgres-proxy.js';
import { startService, type TestService } from './support/test-service.js';
import { expectUnavailable } from './support/unavailable.js';

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

describe('a start during a failover', () => {
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

async function open(url: string, reports: string[], shutdown = new AbortController().signal): Promise<void> {
  const database = { url, directUrl: url, poolSize: 1, dataDir: '' };
  const opened = await openDatabase(database, (line) => reports.push(line), shutdown);
  await opened.close();
}
