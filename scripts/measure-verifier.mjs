// Measures how long a verifier in a backend accepts a token after an acknowledged logout on another instance, and what
// one verification costs: two instances of the service over one PostgreSQL, a logout on the first, a verifier on the
// second.
// Usage: npm run measure -- verifier [trials]
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { createVerifier } from '@ratchet/verifier';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';
import { readArguments } from './usage.mjs';

const [given = '200'] = readArguments(import.meta.url, { allowPositionals: true }).positionals;
const trials = Number(given);
const PASSWORD = 'a long and unlikely sentence';

function startService(databaseUrl) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      RATE_LIMITS: 'off',
      PORT: '0',
      MAX_SESSIONS_PER_USER: '1000',
      DATABASE_URL: databaseUrl,
      AUTH_SECRET: 'only-for-measuring-u8Qz2LmX5vR9tK3wN7cB4yJ1',
    },
  });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the service has ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event, url } = JSON.parse(line);
      if (event === 'listening') {
        resolve({ url, child });
      }
    });
  });
}

async function post(url, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return response.status === 204 ? undefined : response.json();
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(1);
}

async function believedForMs(verifier, accessToken) {
  const acknowledgedAtMs = performance.now();
  for (;;) {
    try {
      await verifier.verify(accessToken);
    } catch (error) {
      if (error.code === 'access_token_revoked') {
        return performance.now() - acknowledgedAtMs;
      }
      throw error;
    }
    await pause(1);
  }
}

const folder = await mkdtemp(join(tmpdir(), 'ratchet-measure-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: join(folder, 'postgres') });
const services = [];
try {
  services.push(await startService(postgres.url), await startService(postgres.url));
  const [near, far] = services.map(({ url }) => url);
  const verifier = createVerifier({
    issuer: 'http://localhost:3000',
    audience: 'ratchet',
    baseUrl: far,
    revocations: 'follow',
    whenFeedIsStale: 'reject',
  });
  await verifier.ready();
  const account = { email: 'measured@example.com', password: PASSWORD };
  await post(`${near}/auth/register`, account);

  const delaysMs = [];
  let pair;
  for (let trial = 0; trial < trials; trial += 1) {
    pair = await post(`${near}/auth/login`, account);
    await verifier.verify(pair.access_token);
    await post(`${near}/auth/logout`, { refresh_token: pair.refresh_token });
    delaysMs.push(await believedForMs(verifier, pair.access_token));
  }
  delaysMs.sort((a, b) => a - b);
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(delaysMs, share));
  console.log(
    `logout on one instance, verifier on the other, ${trials} trials: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms`,
  );

  pair = await post(`${near}/auth/login`, account);
  const startedAtMs = performance.now();
  const verifications = 5_000;
  for (let count = 0; count < verifications; count += 1) {
    await verifier.verify(pair.access_token);
  }
  const perSecond = Math.round((verifications / (performance.now() - startedAtMs)) * 1000);
  console.log(`verifications one after the other, ES256: ${perSecond} a second`);
  verifier.close();
} finally {
  for (const { child } of services) {
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
  }
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}
