import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { migrateDatabase } from '../../dist/platform/database/migrate.js';
import { tearDown } from './global-teardown.mjs';

/** Cloned for every spec file that wants a database; nobody may be connected to it. */
const TEMPLATE = 'ratchet_test_template';

/**
 * A crash of the machine may take the tests' data with it, and no transaction sees a difference: nothing waits for the disk,
 * no vacuum goes round hundreds of databases, and the password of a connection is not stretched.
 */
const TEST_SERVER_SETTINGS = { fsync: 'off', autovacuum: 'off', scram_iterations: '1', max_connections: '400' };

/**
 * One PostgreSQL for the whole run: the server of `TEST_DATABASE_URL` (whose role may create databases), or an embedded
 * one. Leaves a migrated template behind, a data directory to copy, and a folder into which every service under test logs.
 *
 * @returns the tear-down
 */
export default async function globalSetup() {
  const runDir = await mkdtemp(join(tmpdir(), 'ratchet-test-'));
  await mkdir(join(runDir, 'logs'));
  const initialisedDataDir = join(runDir, 'initialised');
  await initialise(initialisedDataDir);
  const given = process.env['TEST_DATABASE_URL'];
  const server =
    given === undefined
      ? await startTestServer(initialisedDataDir, join(runDir, 'postgres'))
      : { url: given, superuserUrl: given, stop: async () => undefined };

  const prefix = `${TEMPLATE}_${process.pid}`;
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(`create database ${prefix} ${given === undefined ? 'template ratchet' : ''}`);
  await client.end();
  const templateUrl = new URL(server.url);
  templateUrl.pathname = `/${prefix}`;
  await migrateDatabase(templateUrl.href);

  // Vitest's workers inherit the environment.
  process.env['RATCHET_TEST_RUN'] = JSON.stringify({
    serverUrl: server.url,
    adminUrl: server.superuserUrl,
    template: prefix,
    initialisedDataDir,
    runDir,
  });
  const run = {
    runDir,
    serverUrl: server.url,
    prefix,
    isEmbedded: given === undefined,
    close: async () => {
      await server.stop();
      await rm(runDir, { recursive: true, force: true });
    },
  };
  return () => tearDown(run);
}

/** Leaves what a first start leaves, with a migrated database, without the port and the log of that start. */
async function initialise(dataDirectory) {
  const server = await startEmbeddedPostgres({ dataDirectory, serverSettings: TEST_SERVER_SETTINGS });
  await migrateDatabase(server.url);
  await server.stop();
  for (const name of ['port', 'server.log', 'owner']) {
    await rm(join(dataDirectory, 'postgres', name));
  }
}

async function startTestServer(initialisedDataDir, dataDirectory) {
  await promisify(execFile)('cp', ['-a', initialisedDataDir, dataDirectory]);
  const server = await startEmbeddedPostgres({ dataDirectory, serverSettings: TEST_SERVER_SETTINGS });
  const superuser = new pg.Client({ connectionString: server.superuserUrl });
  await superuser.connect();
  // The settings apply to passwords that are set from now on, and the services connect thousands of times.
  for (const { username, password } of [server.url, server.superuserUrl].map((url) => new URL(url))) {
    await superuser.query(`alter role ${username} password ${pg.escapeLiteral(password)}`);
  }
  await superuser.end();
  return server;
}
