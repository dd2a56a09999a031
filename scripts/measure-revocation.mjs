// Measures how long two instances accept an access token after its session has ended on a third. Starts an embedded
// PostgreSQL, three instances and, where it is installed, a PgBouncer in transaction mode, all on loopback; ends
// sessions in every way on the first instance and asks /auth/verify of all three.
// Ends with 1 when the first did not deny at once, or another took longer than a second.
// Usage: npm run measure -- revocation [trials of each way; default 200]
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { AppModule } from '../dist/app.module.js';
import { createApp } from '../dist/app.setup.js';
import { AccountsService } from '../dist/auth/accounts/accounts.service.js';
import { loadConfig } from '../dist/platform/config/config.loader.js';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { migrateDatabase } from '../dist/platform/database/migrate.js';
import { createLogger } from '../dist/platform/logging/logger.js';
import { readArguments } from './usage.mjs';

const PROMISED_MS = 1_000;
const PAUSE_BETWEEN_QUESTIONS_MS = 2;
const GIVE_UP_MS = 10_000;
const KILL_INTERVAL_MS = 1_000;

/** Parallel trials, each with its own accounts; most of a trial is waiting. */
const WORKERS = 4;

/** PgBouncer refuses to run as root. */
const NOBODY = 65_534;

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const authSecret = randomBytes(32).toString('hex');

const newPassword = () => randomBytes(16).toString('hex');

async function call(url, path, { body, token, method = 'POST' } = {}) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) };
}

async function mustCall(status, ...question) {
  const answer = await call(...question);
  if (answer.status !== status) {
    throw new Error(`${question[1]} answered ${answer.status}, expected ${status}`);
  }
  return answer.json;
}

async function signUp(url) {
  const account = { email: `${randomBytes(8).toString('hex')}@example.com`, password: newPassword() };
  const { id } = await mustCall(201, url, '/auth/register', { body: account });
  return { ...account, id };
}

const signIn = (url, { email, password }) => mustCall(200, url, '/auth/login', { body: { email, password } });

/** Each takes the first instance, an account and its newest pair, and resolves when the end has been acknowledged. */
const ENDS = {
  logout: ({ url }, _account, pair) =>
    mustCall(204, url, '/auth/logout', { body: { refresh_token: pair.refresh_token } }),
  'logout everywhere': ({ url }, _account, pair) =>
    mustCall(204, url, '/auth/logout-all', { token: pair.access_token }),
  'password change': async ({ url }, account, pair) => {
    const body = { current_password: account.password, new_password: newPassword() };
    await mustCall(200, url, '/auth/password', { token: pair.access_token, body });
    account.password = body.new_password;
  },
  reuse: async ({ url }, _account, pair) => {
    await mustCall(200, url, '/auth/refresh', { body: { refresh_token: pair.refresh_token } });
    await mustCall(401, url, '/auth/refresh', { body: { refresh_token: pair.refresh_token } });
  },
  disabling: ({ app }, account) => app.get(AccountsService).disable(account.id),
};

/** Ways that make the account unusable for another trial. */
const ONE_ACCOUNT_EACH = 'disabling';

/** The instance that acts, in this process: an operator's disabling has no route. */
async function startActing(environment) {
  const config = loadConfig(environment);
  const { url, directUrl = url } = config.database;
  const app = await createApp(AppModule.forRoot(config, { url, directUrl }), config, createLogger({ level: 'fatal' }));
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl(), stop: () => app.close() };
}

async function startOther(environment) {
  const { PATH, HOME } = process.env;
  const service = spawn(process.execPath, [join(root, 'dist', 'main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH, HOME, ...environment },
  });
  const stop = async () => {
    if (service.exitCode === null) {
      service.kill('SIGTERM');
      await once(service, 'exit');
    }
  };
  for await (const line of createInterface({ input: service.stdout })) {
    const { event, url } = JSON.parse(line);
    if (event === 'listening') {
      service.stdout.resume();
      return { url, stop };
    }
  }
  throw new Error('an instance has ended without listening');
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function startPgBouncer(databaseUrl) {
  const [url, port] = [new URL(databaseUrl), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-pgbouncer-'));
  const file = join(folder, 'pgbouncer.ini');
  const [user, password] = [url.username, url.password].map(decodeURIComponent);
  writeFileSync(
    file,
    `[databases]
* = host=${url.hostname} port=${url.port} user='${user}' password='${password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
`,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chmodSync(folder, 0o755);
  }
  const child = spawn('pgbouncer', ['--quiet', file], {
    stdio: 'ignore',
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  });
  url.port = String(port);
  return {
    url: url.href,
    stop: async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @returns stops it */
function killListeners(client) {
  const timer = setInterval(() => {
    client
      .query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ratchet revocations'`)
      .catch((error) => {
        throw error;
      });
  }, KILL_INTERVAL_MS);
  return () => clearInterval(timer);
}

async function untilDenied(url, token, sinceMs) {
  for (;;) {
    const { status } = await call(url, '/auth/verify', { token, method: 'GET' });
    const tookMs = performance.now() - sinceMs;
    if (status === 401) {
      return tookMs;
    }
    if (status !== 200 || tookMs > GIVE_UP_MS) {
      throw new Error(`/auth/verify answered ${status} after ${tookMs.toFixed(0)} ms`);
    }
    await pause(PAUSE_BETWEEN_QUESTIONS_MS);
  }
}

/** @returns milliseconds from the acknowledgement until each of the other instances denied */
async function measureTrial(name, account, acting, others) {
  const pair = await signIn(acting.url, account);
  const question = { token: pair.access_token, method: 'GET' };
  await Promise.all([acting, ...others].map(({ url }) => mustCall(200, url, '/auth/verify', question)));
  // Lets the end fall anywhere between two polls.
  await pause(Math.random() * 500);
  await ENDS[name](acting, account, pair);
  const endedAtMs = performance.now();
  const [, ...timesMs] = await Promise.all([
    mustCall(401, acting.url, '/auth/verify', question),
    ...others.map(({ url }) => untilDenied(url, pair.access_token, endedAtMs)),
  ]);
  return timesMs;
}

async function measureEnd(name, trials, acting, others) {
  const timesMs = [];
  let started = 0;
  const work = async () => {
    let account = await signUp(acting.url);
    while (started < trials) {
      started += 1;
      timesMs.push(...(await measureTrial(name, account, acting, others)));
      account = name === ONE_ACCOUNT_EACH ? await signUp(acting.url) : account;
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return timesMs;
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

function printRow(cells) {
  const [first, ...rest] = cells;
  console.log(first.padEnd(20) + rest.map((cell) => cell.padStart(11)).join(''));
}

const milliseconds = (value) => `${value.toFixed(0)} ms`;

/** @returns the longest of all times */
async function measureMode(title, trials, databaseUrl, disturb) {
  const environment = {
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    RATE_LIMITS: 'off',
    AUTH_SECRET: authSecret,
    DATABASE_URL: databaseUrl,
  };
  const started = [];
  const start = async (instance) => {
    started.push(await instance);
    return started.at(-1);
  };
  let calm;
  try {
    const acting = await start(startActing(environment));
    const others = [await start(startOther(environment)), await start(startOther(environment))];
    calm = disturb?.();
    const longest = [];
    console.log(`\n${title}`);
    printRow(['end', 'trials', 'p50', 'p99', 'longest']);
    for (const name of Object.keys(ENDS)) {
      const times = (await measureEnd(name, trials, acting, others)).sort((a, b) => a - b);
      const last = quantile(times, 1);
      longest.push(last);
      printRow([name, String(trials), ...[quantile(times, 0.5), quantile(times, 0.99), last].map(milliseconds)]);
    }
    return Math.max(...longest);
  } finally {
    calm?.();
    await Promise.all(started.map((instance) => instance.stop()));
  }
}

const [given = '200'] = readArguments(import.meta.url, { allowPositionals: true }).positionals;
const trials = Number(given);
if (!Number.isSafeInteger(trials) || trials < 1) {
  throw new Error('the number of trials must be a whole number from 1');
}
const dataDir = mkdtempSync(join(tmpdir(), 'ratchet-revocation-'));
const server = await startEmbeddedPostgres({ dataDirectory: dataDir });
try {
  await migrateDatabase(server.url);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const longest = [
    await measureMode('LISTEN', trials, server.url),
    await measureMode('LISTEN, its connections killed every second', trials, server.url, () => killListeners(client)),
  ];
  if (spawnSync('pgbouncer', ['--version']).status === 0) {
    const pgBouncer = await startPgBouncer(server.url);
    try {
      longest.push(await measureMode('polling alone, through PgBouncer', trials, pgBouncer.url));
    } finally {
      await pgBouncer.stop();
    }
  } else {
    console.log('\npolling alone, through PgBouncer: not measured, pgbouncer is not installed');
  }
  await client.end();
  if (Math.max(...longest) > PROMISED_MS) {
    process.exitCode = 1;
  }
} finally {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
