// What one verification costs: requests per second and p99 latency through the shipped nginx recipe, through the same
// nginx without questions, and of /auth/verify itself. Everything runs on loopback, the load generator too.
// Usage: npm run measure -- gateway
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './usage.mjs';

readArguments(import.meta.url);

const CONNECTIONS = 32;
const WARM_UP_MS = 1_000;
const RUN_MS = 5_000;
const RUNS = 3;
const LONGEST_START_MS = 30_000;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BACKEND = `require('node:http').createServer((_, r) => r.end('ok')).listen(Number(process.argv[1]), '127.0.0.1')`;

const folder = await mkdtemp(join(tmpdir(), 'ratchet-measure-'));
const children = [];

try {
  const [ratchet, backend, guarded, open] = [await freePort(), await freePort(), await freePort(), await freePort()];
  start(process.execPath, [join(ROOT, 'dist/main.js')], {
    PORT: String(ratchet),
    DATA_DIR: join(folder, 'data'),
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'warn',
    NODE_ENV: 'test',
    ACCESS_TOKEN_TTL_SECONDS: '3600',
  });
  start(process.execPath, ['-e', BACKEND, String(backend)]);
  const recipe = await readFile(join(ROOT, 'gateways/nginx/ratchet.conf'), 'utf8');
  await startNginx('guarded', recipe, { ratchet, backend, port: guarded });
  await startNginx('open', recipe.replaceAll(/auth_request \/.*;/g, 'auth_request off;'), {
    ratchet,
    backend,
    port: open,
  });
  await answers(`http://127.0.0.1:${ratchet}/health/ready`);
  const token = await signIn(`http://127.0.0.1:${ratchet}`);
  const headers = { authorization: `Bearer ${token}` };
  for (const port of [guarded, open]) {
    await answers(`http://127.0.0.1:${port}/orders`, headers);
  }

  const targets = [
    ['nginx without questions', `http://127.0.0.1:${open}/orders`],
    ['nginx with auth_request', `http://127.0.0.1:${guarded}/orders`],
    ['/auth/verify directly', `http://127.0.0.1:${ratchet}/auth/verify`],
  ];
  const results = new Map(targets.map(([name]) => [name, []]));
  // The variants take turns, so that other load on the machine affects all of them.
  for (let run = 0; run < RUNS; run += 1) {
    for (const [name, url] of targets) {
      await load(url, headers, WARM_UP_MS);
      results.get(name).push(await load(url, headers, RUN_MS));
    }
  }
  console.log(`${CONNECTIONS} connections, medians of ${RUNS} runs of ${RUN_MS / 1000} s`);
  for (const [name, runs] of results) {
    const [perSecond, p50Ms, p99Ms] = ['perSecond', 'p50Ms', 'p99Ms'].map((figure) => median(runs, figure));
    console.log(
      `${name.padEnd(24)} ${perSecond.toFixed(0).padStart(6)}/s  p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms`,
    );
  }
} finally {
  for (const child of children.reverse()) {
    const ended = child.exitCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGTERM');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}

function start(program, args, environment = {}) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env.PATH, HOME: folder, ...environment },
  });
  child.on('error', (error) => {
    console.error(`${program}: ${error.message}`);
    process.exitCode = 1;
  });
  children.push(child);
}

async function startNginx(name, recipe, { ratchet, backend, port }) {
  const adapted = recipe
    .replace('server auth:3000;', `server 127.0.0.1:${ratchet};`)
    .replace('server orders:8080;', `server 127.0.0.1:${backend};`)
    .replace('listen 8080;', `listen 127.0.0.1:${port};`)
    .replace('/var/log/nginx/access.log', join(folder, `${name}.log`));
  const path = join(folder, `${name}.conf`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${name}-${kind};`,
  );
  await writeFile(
    path,
    `daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr;
events { worker_connections 1024; }
http { ${temporary.join(' ')} ${adapted} }
`,
  );
  start('nginx', ['-p', folder, '-e', 'stderr', '-c', path]);
}

async function signIn(url) {
  const body = JSON.stringify({ email: 'load@example.com', password: 'a long and unlikely sentence' });
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
  await fetch(`${url}/auth/register`, init);
  return (await (await fetch(`${url}/auth/login`, init)).json()).access_token;
}

/** Waits until it answers 200. */
async function answers(url, headers = {}) {
  const giveUpAtMs = performance.now() + LONGEST_START_MS;
  for (;;) {
    const status = await fetch(url, { headers }).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status === 200) {
      return;
    }
    if (performance.now() > giveUpAtMs) {
      throw new Error(`${url} answers ${status}`);
    }
    await pause(50);
  }
}

/** Each connection sends its next request when the last one is answered; anything but 200 ends the measurement. */
async function load(url, headers, durationMs) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const durationsMs = [];
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + durationMs;
  const worker = async () => {
    while (performance.now() < endAtMs) {
      const sentAtMs = performance.now();
      await ask(url, headers, agent);
      durationsMs.push(performance.now() - sentAtMs);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const seconds = (performance.now() - startedAtMs) / 1000;
  agent.destroy();
  durationsMs.sort((a, b) => a - b);
  const percentile = (share) => durationsMs[Math.floor((durationsMs.length - 1) * share)];
  return { perSecond: durationsMs.length / seconds, p50Ms: percentile(0.5), p99Ms: percentile(0.99) };
}

function ask(url, headers, agent) {
  return new Promise((resolve, reject) => {
    request(url, { headers, agent }, (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 200) {
          resolve();
        } else {
          reject(new Error(`${url} answers ${response.statusCode}`));
        }
      });
    })
      .on('error', reject)
      .end();
  });
}

function median(runs, figure) {
  return runs.map((run) => run[figure]).sort((a, b) => a - b)[Math.floor(runs.length / 2)];
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
