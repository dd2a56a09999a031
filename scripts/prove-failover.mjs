// Runs three instances over a Patroni cluster of three, made of the files in deploy/patroni, and takes the leader away.
// Usage: npm run prove:failover -- [--clients 60] [--keep]
// Needs Debian's programs: apt-get install patroni etcd-server haproxy postgresql-15
import { randomBytes, randomUUID } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { Client, Transport } from './faults/clients.mjs';
import { freePort, openInstances, until } from './faults/deployment.mjs';
import { Gap } from './faults/gap.mjs';
import { History } from './faults/history.mjs';
import { Random } from './faults/random.mjs';
import { readArguments } from './usage.mjs';

const NODES = [1, 2, 3];
const POSTGRES_PROGRAMS = '/usr/lib/postgresql/15/bin';
const QUIET_MS = 5_000;

/** What a gateway asks for users who do nothing else. */
const GATEWAY = 'verify by a gateway';
const GATEWAY_PAUSE_MS = 50;

const { values } = readArguments(import.meta.url, {
  options: { clients: { type: 'string', default: '60' }, keep: { type: 'boolean', default: false } },
});
const checkout = join(dirname(fileURLToPath(import.meta.url)), '..');
const configurations = join(checkout, 'deploy/patroni');
const serverUser = requirePrograms();

// Also what 'exit' has to do.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}

const folder = mkdtempSync(join(tmpdir(), 'ratchet-failover-'));
chownSync(folder, serverUser.uid, serverUser.gid);
const password = randomBytes(18).toString('base64url');
const processes = [];
const ports = new Map();
for (const name of [
  'primary',
  ...NODES.flatMap((node) => [`sql${node}`, `rest${node}`, `etcd${node}`, `peer${node}`]),
]) {
  ports.set(name, await freePort());
}

/** Stops whatever runs, however the script ends. */
process.on('exit', () => {
  for (const { child } of processes) {
    child.kill('SIGKILL');
  }
  spawnSync('pkill', ['-9', '-f', `${folder}/`]);
});

startEtcd();
const agents = new Map(NODES.map((node) => [node, startPatroni(node)]));
startHaproxy();

const database = {
  port: ports.get('primary'),
  urlAt: (port) => `postgres://ratchet:${password}@127.0.0.1:${port}/ratchet`,
};
await until(async () => (await clusterState()).filter(isHealthy).length === NODES.length, 'a complete cluster');
await superuserSql(`create role ratchet login password '${password}'`);
await superuserSql('create database ratchet owner ratchet');

const history = new History(({ kind, details, events }) => {
  console.error(`\nVIOLATION  ${kind}\n  ${details}\n  ${events.join('\n  ')}`);
});
const instances = await openInstances({ checkout, database, folder, history });

let isOver = false;
const transport = new Transport();
const random = new Random(1);
const clients = [];
for (let index = 0; index < Number(values.clients); index += 1) {
  const account = { email: `client-${index}@example.com`, password: `password-of-client-${randomUUID()}` };
  const client = new Client({ account, random, instances, transport, history, isRunning: () => !isOver });
  await client.call('register', 'POST', '/auth/register', { body: account });
  clients.push(client);
}
const lives = [...clients.map((client) => client.run()), verifyAllTheTime(clients[0])];
await pause(QUIET_MS);

console.log(`Patroni ${patroniVersion()}, PostgreSQL 15, ${clients.length} clients, ${instances.length} instances\n`);
await scene('leader killed with its agent', async () => {
  const leader = await leaderNode();
  agents.get(leader).kill('SIGKILL');
  killPostgres(leader);
  return leader;
});
await scene('switchover', async () => {
  const leader = await leaderNode();
  const result = spawnSync(
    'patronictl',
    ['-c', configOf(leader), 'switchover', '--force', '--leader', `node${leader}`, 'ratchet'],
    {
      encoding: 'utf8',
      env: { ...process.env, ...patroniEnvironment(leader) },
    },
  );
  if (result.status !== 0) {
    throw new Error(result.stdout + result.stderr);
  }
});

isOver = true;
await Promise.all([...lives, ...clients.flatMap(({ watches }) => watches ?? [])]);
transport.close();
await Promise.all(instances.map((instance) => instance.end('SIGTERM')));
await Promise.all(instances.map(({ proxy }) => proxy.close()));
console.log(`\n${history.operationCount} operations, ${history.violations.length} violations`);
if (values.keep) {
  console.log(`Logs and data: ${folder}`);
} else {
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
}
process.exit(history.violations.length === 0 ? 0 : 1);

/** Verifies one access token, which outlives the scenes. */
async function verifyAllTheTime(client) {
  const session = await client.signIn();
  while (!isOver) {
    await client.call(GATEWAY, 'GET', '/auth/verify', {
      headers: { authorization: `Bearer ${session.pair.access_token}` },
    });
    await pause(GATEWAY_PAUSE_MS);
  }
}

/** Breaks something under load and says for how long what was not answered. */
async function scene(name, breakIt) {
  const gaps = new Map(['refresh', GATEWAY].map((operation) => [operation, new Gap(operation)]));
  history.onAnswer = (operation, answer) => gaps.get(operation)?.note(answer);
  const before = history.violations.length;
  const killed = await breakIt();
  await until(() => [...gaps.values()].every((gap) => gap.hasRecovered()), `the recovery from: ${name}`, 120_000);
  await pause(QUIET_MS);
  const told = [...gaps.values()].map((gap) => gap.text());
  console.log(`${name}: ${told.join('; ')}; ${history.violations.length - before} violations`);
  if (killed !== undefined) {
    agents.set(killed, startPatroni(killed));
  }
  await until(
    async () => (await clusterState()).filter(isHealthy).length === NODES.length,
    'a complete cluster',
    120_000,
  );
  history.onAnswer = undefined;
}

function requirePrograms() {
  const missing = ['patroni', 'patronictl', 'etcd', 'haproxy'].filter(
    (name) => spawnSync('which', [name]).status !== 0,
  );
  if (missing.length > 0) {
    console.error(
      `Not installed: ${missing.join(', ')}. On Debian: apt-get install patroni etcd-server haproxy postgresql-15`,
    );
    process.exit(2);
  }
  if (process.getuid() !== 0) {
    return { uid: process.getuid(), gid: process.getgid() };
  }
  // PostgreSQL does not run as root.
  const id = (flag) => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout);
  return { uid: id('-u'), gid: id('-g') };
}

function start(name, program, args, env = {}) {
  const log = openSync(join(folder, `${name}.log`), 'a');
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: `${POSTGRES_PROGRAMS}:${process.env.PATH}`, HOME: folder, ...env },
    stdio: ['ignore', log, log],
    ...serverUser,
  });
  closeSync(log);
  processes.push({ name, child });
  return child;
}

function startEtcd() {
  const peerUrl = (node) => `http://127.0.0.1:${ports.get(`peer${node}`)}`;
  const clientUrl = (node) => `http://127.0.0.1:${ports.get(`etcd${node}`)}`;
  for (const node of NODES) {
    start(`etcd${node}`, 'etcd', [
      ...['--name', `etcd${node}`, '--data-dir', join(folder, `etcd${node}`)],
      ...['--listen-client-urls', clientUrl(node), '--advertise-client-urls', clientUrl(node)],
      ...['--listen-peer-urls', peerUrl(node), '--initial-advertise-peer-urls', peerUrl(node)],
      ...['--initial-cluster', NODES.map((each) => `etcd${each}=${peerUrl(each)}`).join(',')],
    ]);
  }
}

function configOf(node) {
  return join(folder, `patroni${node}.yml`);
}

function patroniEnvironment(node) {
  const address = (kind) => `127.0.0.1:${ports.get(`${kind}${node}`)}`;
  return {
    PATRONI_NAME: `node${node}`,
    PATRONI_ETCD3_HOSTS: NODES.map((each) => `127.0.0.1:${ports.get(`etcd${each}`)}`).join(','),
    PATRONI_RESTAPI_LISTEN: address('rest'),
    PATRONI_RESTAPI_CONNECT_ADDRESS: address('rest'),
    PATRONI_POSTGRESQL_LISTEN: address('sql'),
    PATRONI_POSTGRESQL_CONNECT_ADDRESS: address('sql'),
    PATRONI_POSTGRESQL_DATA_DIR: join(folder, `node${node}`),
    PATRONI_POSTGRESQL_BIN_DIR: POSTGRES_PROGRAMS,
    PATRONI_SUPERUSER_USERNAME: 'postgres',
    PATRONI_SUPERUSER_PASSWORD: password,
    PATRONI_REPLICATION_USERNAME: 'replicator',
    PATRONI_REPLICATION_PASSWORD: password,
    PATRONI_REWIND_USERNAME: 'rewinder',
    PATRONI_REWIND_PASSWORD: password,
  };
}

function startPatroni(node) {
  const text = readFileSync(join(configurations, 'patroni.yml'), 'utf8');
  // There is no watchdog device in a container, and the scenes kill the agent instead of hanging it.
  const withoutWatchdog = text.replace('mode: required', "mode: 'off'");
  const sockets = `\n  parameters:\n    unix_socket_directories: '${folder}'\n`;
  writeFileSync(configOf(node), withoutWatchdog.replace(/\npostgresql:\n/, `\npostgresql:${sockets}`));
  mkdirSync(join(folder, `node${node}`), { recursive: true, mode: 0o700 });
  chownSync(join(folder, `node${node}`), serverUser.uid, serverUser.gid);
  return start(`patroni${node}`, 'patroni', [configOf(node)], patroniEnvironment(node));
}

function startHaproxy() {
  const nodes = NODES.map((node) => [
    [`NODE${node}_ADDRESS`, `127.0.0.1:${ports.get(`sql${node}`)}`],
    [`NODE${node}_REST_PORT`, String(ports.get(`rest${node}`))],
  ]);
  start('haproxy', 'haproxy', ['-f', join(configurations, 'haproxy.cfg')], {
    PRIMARY_ADDRESS: `127.0.0.1:${ports.get('primary')}`,
    ...Object.fromEntries(nodes.flat()),
  });
}

function killPostgres(node) {
  const [pid] = readFileSync(join(folder, `node${node}`, 'postmaster.pid'), 'utf8').split('\n');
  process.kill(Number(pid), 'SIGKILL');
}

/** @returns the members, as a node that answers sees them */
async function clusterState() {
  for (const node of NODES) {
    try {
      const response = await fetch(`http://127.0.0.1:${ports.get(`rest${node}`)}/cluster`, {
        signal: AbortSignal.timeout(1_000),
      });
      return (await response.json()).members ?? [];
    } catch {
      // Another node may answer.
    }
  }
  return [];
}

function isHealthy({ role, state }) {
  return role === 'leader' ? state === 'running' : state === 'running' || state === 'streaming';
}

async function leaderNode() {
  const leader = (await clusterState()).find(({ role }) => role === 'leader');
  return Number(leader.name.slice('node'.length));
}

function patroniVersion() {
  return spawnSync('patroni', ['--version'], { encoding: 'utf8' }).stdout.trim().split(' ').at(-1);
}

async function superuserSql(text) {
  const client = new pg.Client({
    connectionString: `postgres://postgres:${password}@127.0.0.1:${database.port}/postgres`,
  });
  await client.connect();
  await client.query(text);
  await client.end();
}
