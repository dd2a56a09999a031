// The look-up of a login through the product's repository and driver, for users picked at random, with as many at once
// as the pool has connections. Prints rate and latencies as JSON.
import { Clock } from '../../dist/platform/common/clock.js';
import { loadConfig } from '../../dist/platform/config/config.loader.js';
import { createPool } from '../../dist/platform/database/connection-pool.js';
import { DatabaseService } from '../../dist/platform/database/database.service.js';
import { UsersRepository } from '../../dist/users/users.repository.js';
import { Latencies } from '../load/latencies.mjs';
import { SeededSessions } from './seeded-session.mjs';

const { USERS, SECONDS } = process.env;
const config = loadConfig();
const sessions = new SeededSessions(config.secrets.current);
const { url, poolSize } = config.database;
const pool = createPool({ url, poolSize, canSet: true });
const database = new DatabaseService(pool, new Clock(), { canPrepare: true });
const users = new UsersRepository(database);

async function run(seconds) {
  const latencies = new Latencies();
  const until = performance.now() + seconds * 1_000;
  const work = async () => {
    while (performance.now() < until) {
      const email = sessions.emailOf(Math.floor(Math.random() * Number(USERS)));
      const startedAt = performance.now();
      const found = await users.findCredentialsByEmail(email);
      latencies.add(performance.now() - startedAt);
      if (found === undefined) {
        throw new Error('a seeded user was not found');
      }
    }
  };
  await Promise.all(Array.from({ length: poolSize }, work));
  return { rate: latencies.count / seconds, latencyMs: latencies.summary() };
}

await run(0.5);
console.log(JSON.stringify(await run(Number(SECONDS))));
await pool.end();
