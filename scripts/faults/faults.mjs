import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** Held longer than a refresh waits for its row, and shorter. */
const LOCK_MS = [200, 6_000];

/**
 * What can happen to three instances and one database, by name. Each breaks something, keeps it broken for a while if
 * that is its nature, and repairs it; what it leaves behind is for the service to get over.
 */
export const FAULTS = {
  'instance killed': async ({ instance, random }) => {
    await instance.end('SIGKILL');
    await pause(random.between(0, 1_500));
    instance.spawn();
  },
  'instance replaced': async ({ instance }) => {
    await instance.end('SIGTERM');
    instance.spawn();
  },
  'instance stopped': async ({ instance, random }) => {
    instance.pauseProcess();
    await pause(random.between(200, 8_000));
    instance.continueProcess();
  },
  'connections cut': async ({ instance, random }) => {
    for (let times = random.between(1, 10); times > 0; times -= 1) {
      instance.proxy.cut(random, random.next());
      await pause(random.between(10, 300));
    }
  },
  'connections refused': async ({ instance, random }) => {
    instance.proxy.refuse(true);
    instance.proxy.cut(random);
    await pause(random.between(200, 4_000));
    instance.proxy.refuse(false);
  },
  'statements late': async ({ instance, random }) => {
    const ms = random.between(200, 7_000);
    instance.proxy.holdBack(ms);
    await pause(ms);
  },
  'statements late and connections lost': async ({ instance, random }) => {
    const ms = random.between(500, 7_000);
    instance.proxy.holdBack(ms);
    await pause(random.between(100, ms));
    await instance.end('SIGKILL');
    instance.spawn();
  },
  'database crashed': async ({ database }) => {
    await database.crash();
  },
  'database restarted': async ({ database }) => {
    await database.restart();
  },
  'all backends terminated': async ({ database }) => {
    await database.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null`,
      [],
      { isSuperuser: true },
    );
  },
  'rows locked': async ({ database, random }) => {
    await holdRows(database, random, 'refresh_token_families');
  },
  'users locked': async ({ database, random }) => {
    await holdRows(database, random, 'users');
  },
  'read-only phase': async ({ database, random }) => {
    const set = async (value) => {
      await database.sql(`alter system set default_transaction_read_only = ${value}`, [], { isSuperuser: true });
      await database.sql('select pg_reload_conf()', [], { isSuperuser: true });
    };
    await set('on');
    await pause(random.between(300, 3_000));
    await set('off');
  },
};

async function holdRows(database, random, table) {
  const client = new pg.Client({ connectionString: database.urlAt(database.port) });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('begin');
    await client.query(`select 1 from ${table} tablesample bernoulli ($1) for update`, [random.between(1, 60)]);
    await pause(random.between(...LOCK_MS));
    await client.query('rollback');
  } finally {
    await client.end();
  }
}
