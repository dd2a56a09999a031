// Measures what a start costs: from the spawn to the first 200 of GET /health/ready, the memory at rest after it, and
// `users --help`, beside a bare `node -e 0`. Several built checkouts are measured in turn, so that all of them see the
// same machine. The database has to be migrated by all of them already, or is migrated by a first start that is not
// counted.
// Usage: DATABASE_URL=… node scripts/measure-start.mjs [--rounds 9] [--rest-seconds 5] [checkout]...
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

// The same in every start: it opens the signing keys that the first one made.
const AUTH_SECRET = createHash('sha256').update('measure-start').digest('base64url');
/** Below the ports that systems give to clients. */
const FIRST_PORT = 28_100;
const POLL_MS = 5;
const READY_DEADLINE_MS = 120_000;
const CLOCK_TICKS_PER_SECOND = 100;

const { values, positionals } = readArguments(import.meta.url, {
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '9' }, 'rest-seconds': { type: 'string', default: '5' } },
});
const rounds = Number(values.rounds);
const restMs = Number(values['rest-seconds']) * 1000;
const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const checkouts = (positionals.length > 0 ? positionals : [here]).map((folder) => resolve(folder));

if (process.env.DATABASE_URL === undefined) {
  throw new Error('DATABASE_URL names the database; the start of an embedded server would be measured with it');
}

/** The `node` line of a script of package.json, without its shell. */
function nodeArguments(checkout, script) {
  const line = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')).scripts[script];
  const words = line.split(' ');
  return words.slice(words.indexOf('node') + 1);
}

function run(cwd, args, env = {}) {
  return spawn(process.execPath, args, { cwd, env: { ...process.env, ...env }, stdio: 'ignore' });
}

function exit(child) {
  return new Promise((done) => child.once('exit', done));
}

function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / CLOCK_TICKS_PER_SECOND;
}

function residentMib(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

function isReady(port) {
  return new Promise((done) => {
    get({ host: '127.0.0.1', port, path: '/health/ready' }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    }).on('error', () => done(false));
  });
}

async function measureStart(checkout, port) {
  const startedAt = performance.now();
  const child = run(checkout, nodeArguments(checkout, 'start'), {
    PORT: String(port),
    NODE_ENV: 'production',
    AUTH_SECRET,
    JWT_ISSUER: 'http://127.0.0.1',
    JWT_AUDIENCE: 'measure-start',
  });
  while (!(await isReady(port))) {
    if (child.exitCode !== null || performance.now() - startedAt > READY_DEADLINE_MS) {
      throw new Error(`${checkout} did not become ready`);
    }
    await pause(POLL_MS);
  }
  const readyMs = performance.now() - startedAt;
  const readyCpuMs = cpuMs(child.pid);
  await pause(restMs);
  const restMib = residentMib(child.pid);
  child.kill('SIGTERM');
  await exit(child);
  return { 'ready, ms': readyMs, 'ready, CPU ms': readyCpuMs, 'at rest, MiB': restMib };
}

async function measureCommand(cwd, args) {
  const startedAt = performance.now();
  await exit(run(cwd, args));
  return performance.now() - startedAt;
}

const samples = new Map();
function record(name, figures) {
  for (const [figure, value] of Object.entries(figures)) {
    const key = `${name}\0${figure}`;
    samples.set(key, [...(samples.get(key) ?? []), value]);
  }
}

for (let round = 0; round <= rounds; round += 1) {
  for (const [index, checkout] of checkouts.entries()) {
    const start = await measureStart(checkout, FIRST_PORT + index);
    const help = await measureCommand(checkout, [...nodeArguments(checkout, 'users'), '--help']);
    const bare = await measureCommand(checkout, ['-e', '0']);
    // The first round fills caches of the disk and migrates.
    if (round > 0) {
      record(checkout, { ...start, 'users --help, ms': help, 'node -e 0, ms': bare });
    }
  }
}

console.log(`Node ${process.version}, ${rounds} rounds, medians (least to most)`);
for (const [key, values] of samples) {
  const sorted = values.toSorted((a, b) => a - b);
  const [name, figure] = key.split('\0');
  const [least, median, most] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) => Math.round(sorted[i]));
  console.log(`${name}  ${figure.padEnd(18)} ${median} (${least} to ${most})`);
}
