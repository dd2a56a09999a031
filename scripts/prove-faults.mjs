// Runs three instances over a real PostgreSQL, breaks something all the time, and judges every answer by the invariants.
// Usage: npm run prove:faults -- [--minutes 2] [--seed 1] [--clients 300] [--checkout folder] [--keep]
// The seed decides which faults follow each other; when exactly they hit is up to the machine.
// --checkout runs another built checkout, to see that an older fault is found.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { Client, Transport } from './faults/clients.mjs';
import { Database, openInstances } from './faults/deployment.mjs';
import { FAULTS } from './faults/faults.mjs';
import { History } from './faults/history.mjs';
import { Random } from './faults/random.mjs';
import { readArguments } from './usage.mjs';

/** So often everything is left alone until every instance is ready: recovery needs no restart. */
const FAULTS_PER_ROUND = 25;

/** A session, an access token or a key in clear (invariant 8). */
const SECRETS = /rt1\.[\w-]{40}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|password-of-client/;

const { values } = readArguments(import.meta.url, {
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    clients: { type: 'string', default: '300' },
    checkout: { type: 'string', default: join(dirname(fileURLToPath(import.meta.url)), '..') },
    keep: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const random = new Random(seed);
const checkout = resolve(values.checkout);
// Also what 'exit' has to do.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}

const folder = mkdtempSync(join(tmpdir(), 'ratchet-faults-'));
const history = new History(({ kind, details, events }) => {
  console.error(`\nVIOLATION  ${kind}\n  ${details}\n  ${events.join('\n  ')}`);
});
const faults = new Map();

const database = new Database(startEmbeddedPostgres, folder);
await database.start();
const instances = await openInstances({ checkout, database, folder, history });

const endsAt = performance.now() + Number(values.minutes) * 60_000;
let isOver = false;
const isRunning = () => !isOver;
const transport = new Transport();
const clients = [];
for (let index = 0; index < Number(values.clients); index += 1) {
  const account = { email: `client-${index}@example.com`, password: `password-of-client-${randomUUID()}` };
  const client = new Client({ account, random, instances, transport, history, isRunning });
  await client.call('register', 'POST', '/auth/register', { body: account });
  clients.push(client);
}
const lives = clients.map((client) => client.run());
const ticker = setInterval(() => {
  if (!process.stderr.isTTY) {
    return;
  }
  process.stderr.write(
    `\r${history.operationCount} operations, ${faultCount()} faults, ${history.violations.length} violations `,
  );
}, 1_000);

while (performance.now() < endsAt) {
  for (let count = 0; count < FAULTS_PER_ROUND && performance.now() < endsAt; count += 1) {
    await strike();
    await pause(random.between(0, 800));
  }
  await recover();
}

isOver = true;
clearInterval(ticker);
await Promise.all([...lives, ...clients.flatMap(({ watches }) => watches ?? [])]);
await judgeWhatIsLeft();
transport.close();
await Promise.all(instances.map((instance) => instance.end('SIGTERM')));
await Promise.all(instances.map(({ proxy }) => proxy.close()));
await database.server.stop();
report();
if (values.keep) {
  console.log(`Logs and data: ${folder}`);
} else {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(history.violations.length === 0 ? 0 : 1);

/** Sometimes two faults at once, of different instances or kinds. */
async function strike() {
  const struck = new Set();
  await Promise.all(
    Array.from({ length: random.happens(0.3) ? 2 : 1 }, async () => {
      const name = random.pick(Object.keys(FAULTS));
      const instance = random.pick(instances);
      const victim = name.startsWith('database') || name.startsWith('all') ? 'database' : instance.name;
      if (struck.has(victim) || (struck.size > 0 && (victim === 'database' || struck.has('database')))) {
        return;
      }
      struck.add(victim);
      faults.set(name, (faults.get(name) ?? 0) + 1);
      try {
        await FAULTS[name]({ instance, database, random });
      } catch (error) {
        // A statement of the fault's own that met the other fault.
        if (error.code === undefined && !/terminated|ended/.test(error.message)) {
          throw error;
        }
      }
    }),
  );
}

async function recover() {
  try {
    await Promise.all(instances.map((instance) => instance.untilReady()));
  } catch (error) {
    history.violation('an instance did not recover', error.message);
  }
}

/** What no single answer shows: rows, the absolute end, the logs. */
async function judgeWhatIsLeft() {
  const [row] = await database.sql(
    `select count(*)::integer as families, count(distinct expires_at - created_at)::integer as lifetimes
     from refresh_token_families`,
  );
  const logins = history.operations.get('login') ?? 0;
  if (row.families > logins) {
    history.violation('invariant 7: a refresh has inserted a row', `${row.families} rows after ${logins} logins`);
  }
  if (row.lifetimes > 1) {
    history.violation('invariant 7: the absolute end of a session has moved', `${row.lifetimes} lifetimes`);
  }
  for (const { name, logFile } of instances) {
    const leak = SECRETS.exec(readFileSync(logFile, 'utf8'));
    if (leak !== null) {
      history.violation('invariant 8: a secret in the log', `${name}: ${leak[0].slice(0, 12)}…`);
    }
  }
}

function faultCount() {
  return [...faults.values()].reduce((sum, count) => sum + count, 0);
}

function report() {
  const list = (map) =>
    [...map]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, count]) => `  ${String(count).padStart(8)}  ${name}`);
  console.log(`\n\nFaults\n${list(faults).join('\n')}\n\nAnswers\n${list(history.outcomes).join('\n')}\n`);
  const kinds = new Map();
  for (const { kind } of history.violations) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  console.log(kinds.size === 0 ? '' : `Violations\n${list(kinds).join('\n')}\n`);
  console.log(
    `seed ${seed}: ${history.operationCount} operations, ${faultCount()} faults, ${history.violations.length} violations`,
  );
}
