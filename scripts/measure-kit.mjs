// Measures the test kit: its first start and later ones, and in a namespace of 1,000 users what a test does. Medians, and
// the 99th percentile of a reset.
// Usage: node scripts/measure-kit.mjs [--rounds 100]
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

const RUNNER = fileURLToPath(new URL('../packages/testing/dist/runner/main.mjs', import.meta.url));
const WORKERS = 4;
const TESTS_PER_WORKER = 100;
const LATER_STARTS = 5;

const { values } = readArguments(import.meta.url, { options: { rounds: { type: 'string', default: '100' } } });
const rounds = Number(values.rounds);
const scratch = mkdtempSync(join(tmpdir(), 'ratchet-measure-kit-'));
chmodSync(scratch, 0o755);

async function start() {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [RUNNER, '--port', '0', '--parent-pipe'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: scratch, TEST_DATABASE_URL: '' },
  });
  const [line] = await once(child.stdout, 'data');
  const ms = performance.now() - startedAt;
  return {
    ms,
    ready: JSON.parse(line.toString()),
    stop: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

async function send(url, method, body, headers = {}) {
  const answer = await fetch(url, {
    method,
    headers: { 'x-ratchet-test': '1', 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  }
  return text === '' ? undefined : JSON.parse(text);
}

async function timed(work) {
  const startedAt = performance.now();
  const result = await work();
  return { ms: performance.now() - startedAt, result };
}

function percentile(samples, share) {
  return samples.toSorted((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(samples.length * share))];
}

function print(name, samples) {
  const [median, high] = [0.5, 0.99].map((share) => percentile(samples, share).toFixed(1));
  console.log(`${name.padEnd(36)} ${median.padStart(8)} ms   p99 ${high.padStart(8)} ms   (${samples.length})`);
}

async function workAs(worker, testUrl) {
  const { url } = await send(`${testUrl}/worker-${worker}`, 'PUT', {});
  for (let test = 0; test < TESTS_PER_WORKER; test += 1) {
    await send(`${testUrl}/worker-${worker}/reset`, 'POST');
    const [user] = await send(`${testUrl}/worker-${worker}/users`, 'POST', [{ roles: ['admin'] }]);
    const { email, password } = user;
    const { access_token: token } = await send(`${url}/auth/login`, 'POST', { email, password });
    await send(`${url}/auth/me`, 'GET', undefined, { authorization: `Bearer ${token}` });
  }
}

try {
  const first = await start();
  await first.stop();
  console.log(`Node ${process.version}`);
  print('first start', [first.ms]);
  const later = [];
  let kit;
  for (let round = 0; round < LATER_STARTS; round += 1) {
    await kit?.stop();
    kit = await start();
    later.push(kit.ms);
  }
  print('later start', later);
  const { test_url: testUrl } = kit.ready;
  const samples = new Map();
  const measure = async (name, work) => {
    const { ms, result } = await timed(work);
    samples.set(name, [...(samples.get(name) ?? []), ms]);
    return result;
  };
  for (let round = 0; round < 20; round += 1) {
    await measure('namespace', () => send(`${testUrl}/made-${round}`, 'PUT', {}));
    await measure('drop of a namespace', () => send(`${testUrl}/made-${round}`, 'DELETE'));
  }
  for (let round = 0; round < rounds; round += 1) {
    await measure('1,000 users', () => send(`${testUrl}/main/users`, 'POST', Array(1_000).fill({})));
    const [user] = await measure('user with a role', () =>
      send(`${testUrl}/main/users`, 'POST', [{ roles: ['admin'] }]),
    );
    await measure('token', () => send(`${testUrl}/main/tokens`, 'POST', { user_id: user.id }));
    await measure('session', () => send(`${testUrl}/main/sessions`, 'POST', { user_id: user.id, state: 'reused' }));
    await measure('login', () =>
      send(`${kit.ready.url}/auth/login`, 'POST', { email: user.email, password: user.password }),
    );
    await measure('reset with 1,001 users', () => send(`${testUrl}/main/reset`, 'POST'));
  }
  for (let round = 0; round < 20; round += 1) {
    await measure('clock by a day', () => send(`${testUrl}/main/clock`, 'PUT', { advance_seconds: 86_400 }));
    await measure('reset with a moved clock', () => send(`${testUrl}/main/reset`, 'POST'));
    await measure('clock by 91 days', () => send(`${testUrl}/main/clock`, 'PUT', { advance_seconds: 91 * 86_400 }));
    await send(`${testUrl}/main/reset`, 'POST');
  }
  for (const [name, each] of samples) {
    print(name, each);
  }
  const { ms } = await timed(() =>
    Promise.all(Array.from({ length: WORKERS }, (_, worker) => workAs(worker, testUrl))),
  );
  console.log(`${WORKERS} workers of ${TESTS_PER_WORKER} tests (reset, user, login, me): ${(ms / 1_000).toFixed(1)} s`);
  await kit.stop();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
