// Fills a database with users and sessions, to see how the service does when it has many.
// Usage: npm run bench:seed -- [--users 1000000] [--families 1000000] [--tombstones]
// The database is that of DATABASE_URL (with AUTH_SECRET, which the tokens depend on), and must be empty; without it an
// embedded one in .ratchet-bench, to look at with `DATA_DIR=.ratchet-bench npm start`.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../dist/platform/config/config.loader.js';
import { openDatabase } from '../dist/platform/database/open-database.js';
import { fillDatabase, SEEDED_PASSWORD } from './ratchet/fill-database.mjs';
import { SeededSessions } from './ratchet/seeded-session.mjs';
import { readOptions, wholeNumber } from './run/options.mjs';

const values = readOptions({
  users: { type: 'string', default: '1000000' },
  families: { type: 'string', default: '1000000' },
  tombstones: { type: 'boolean', default: false },
});
const users = wholeNumber('users', values.users);
const families = wholeNumber('families', values.families, 0);

process.env['DATA_DIR'] ??= join(fileURLToPath(new URL('..', import.meta.url)), '.ratchet-bench');
const config = loadConfig();
const startedAt = performance.now();
const database = await openDatabase(config.database, console.error, new AbortController().signal);
try {
  const sessions = new SeededSessions(config.secrets.current);
  const filledFrom = performance.now();
  await fillDatabase({ url: database.address.url, sessions, users, families, withTombstones: values.tombstones });
  const seconds = ((performance.now() - filledFrom) / 1_000).toFixed(1);
  console.log(`${users} users and ${families} families in ${seconds} s`);
  console.log(`sign in as ${sessions.emailOf(0)} with the password: ${SEEDED_PASSWORD}`);
} finally {
  await database.close();
  console.error(`done after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
}
