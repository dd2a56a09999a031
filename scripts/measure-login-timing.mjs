// Measures whether the time of a refused login reveals that the account exists. Starts the built service over an
// embedded PostgreSQL of its own on loopback and sends wrong passwords for known and unknown e-mails, one at a time, in
// random order.
// Ends with 1 when the medians are more than 5 % apart.
// Usage: npm run measure -- login-timing [attempts of each kind, at least 300; default 1000]
import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

const FEWEST_ATTEMPTS = 300;
const ACCOUNTS = 50;
const WARM_UP_ATTEMPTS = 50;
const LARGEST_DIFFERENCE = 0.05;
const RESAMPLES = 2_000;

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** @returns the process and its address, once it listens */
async function startService(dataDir) {
  const { PATH, HOME } = process.env;
  // Limits of failed logins would end the measurement after the first few attempts.
  const environment = { NODE_ENV: 'test', HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, RATE_LIMITS: 'off' };
  const service = spawn(process.execPath, [join(root, 'dist', 'main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH, HOME, ...environment },
  });
  for await (const line of createInterface({ input: service.stdout })) {
    const { event, url } = JSON.parse(line);
    if (event === 'listening') {
      service.stdout.resume();
      return { service, url };
    }
  }
  throw new Error('the service has ended without listening');
}

async function stopService(service) {
  if (service.exitCode === null) {
    service.kill('SIGTERM');
    await once(service, 'exit');
  }
}

async function post(url, path, body, expectedStatus) {
  const startedAtMs = performance.now();
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  const tookMs = performance.now() - startedAtMs;
  if (response.status !== expectedStatus) {
    throw new Error(`${path} answered ${response.status}, expected ${expectedStatus}`);
  }
  return tookMs;
}

/** All have one length, so that only their existence differs. */
const newEmail = () => `${randomBytes(8).toString('hex')}@example.com`;
const newPassword = () => randomBytes(16).toString('hex');

function shuffle(items) {
  for (let last = items.length - 1; last > 0; last--) {
    const other = randomInt(last + 1);
    [items[last], items[other]] = [items[other], items[last]];
  }
  return items;
}

/** @returns milliseconds of each attempt, by kind */
async function measure(url, attempts) {
  const emails = { known: [], unknown: [] };
  for (let account = 0; account < ACCOUNTS; account++) {
    const email = newEmail();
    await post(url, '/auth/register', { email, password: newPassword() }, 201);
    emails.known.push(email);
    emails.unknown.push(newEmail());
  }
  const tryLogin = (kind) =>
    post(url, '/auth/login', { email: emails[kind][randomInt(ACCOUNTS)], password: newPassword() }, 401);
  for (let attempt = 0; attempt < WARM_UP_ATTEMPTS; attempt++) {
    await tryLogin('known');
    await tryLogin('unknown');
  }
  const timesMs = { known: [], unknown: [] };
  const order = shuffle([...Array(attempts).fill('known'), ...Array(attempts).fill('unknown')]);
  for (const kind of order) {
    timesMs[kind].push(await tryLogin(kind));
  }
  return timesMs;
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * share;
  const [below, above] = [Math.floor(position), Math.ceil(position)];
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

const median = (values) => quantile(values, 0.5);

/** The difference of the medians as a share of the median of the unknown. */
const difference = ({ known, unknown }) => median(known) / median(unknown) - 1;

/** Percentile bootstrap: the middle 95 % of the resampled values. */
function differenceInterval({ known, unknown }) {
  const resample = (values) => values.map(() => values[Math.floor(Math.random() * values.length)]);
  const differences = Array.from({ length: RESAMPLES }, () =>
    difference({ known: resample(known), unknown: resample(unknown) }),
  );
  return [quantile(differences, 0.025), quantile(differences, 0.975)];
}

/** Mann-Whitney: how often a known e-mail takes longer than an unknown one. One half means no difference. */
function shareOfLonger({ known, unknown }) {
  const longer = known.reduce((sum, time) => sum + unknown.filter((other) => time > other).length, 0);
  const pairs = known.length * unknown.length;
  const standardError = Math.sqrt((known.length + unknown.length + 1) / (12 * pairs));
  const share = longer / pairs;
  return [share, share - 1.96 * standardError, share + 1.96 * standardError];
}

const milliseconds = (value) => `${value.toFixed(2)} ms`;
const percent = (value) => `${(value * 100).toFixed(2)} %`;

const [given = '1000'] = readArguments(import.meta.url, { allowPositionals: true }).positionals;
const attempts = Number(given);
if (!Number.isSafeInteger(attempts) || attempts < FEWEST_ATTEMPTS) {
  throw new Error(`the number of attempts must be a whole number from ${FEWEST_ATTEMPTS}`);
}
const dataDir = mkdtempSync(join(tmpdir(), 'ratchet-login-timing-'));
let service;
try {
  let url;
  ({ service, url } = await startService(dataDir));
  const timesMs = await measure(url, attempts);
  for (const [kind, values] of Object.entries(timesMs)) {
    const [middle, slow] = [median(values), quantile(values, 0.95)];
    console.log(`${kind.padEnd(8)} median ${milliseconds(middle)}, p95 ${milliseconds(slow)}, n ${values.length}`);
  }
  const [low, high] = differenceInterval(timesMs);
  const apart = difference(timesMs);
  console.log(`medians  ${percent(apart)} apart, 95 % interval ${percent(low)} to ${percent(high)}`);
  const [share, least, most] = shareOfLonger(timesMs);
  console.log(`known takes longer in ${percent(share)} of pairs, 95 % interval ${percent(least)} to ${percent(most)}`);
  if (Math.abs(apart) > LARGEST_DIFFERENCE) {
    process.exitCode = 1;
  }
} finally {
  if (service !== undefined) {
    await stopService(service);
  }
  rmSync(dataDir, { recursive: true, force: true });
}
