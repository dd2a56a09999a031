// Walks through a running installation as a client would, from sign-up to a logout that reaches the backend.
// Usage: npm run smoke -- [base URL] [path of a backend]
// Without a base URL it takes the gateway of docker-compose.yml (http://localhost:8080) if that answers, or else what
// `npm start` runs (http://127.0.0.1:3000); with PORT in the environment it looks at that port first. Without a path it
// takes /orders if there is such a backend, or else /auth/me of the service itself.
// Needs nothing but the network; exits with 1 at the first step that fails.
import { randomBytes, randomUUID } from 'node:crypto';
import { endWithUsage, readArguments } from './usage.mjs';

const { PORT } = process.env;
const GATEWAY = 'http://localhost:8080';
const BASES = PORT === undefined ? [GATEWAY, 'http://127.0.0.1:3000'] : [`http://127.0.0.1:${PORT}`, GATEWAY];

const { positionals } = readArguments(import.meta.url, { allowPositionals: true });
let [base, backendPath] = positionals;
if (positionals.length > 2 || (base !== undefined && !/^https?:\/\/[^/]/.test(base))) {
  endWithUsage(import.meta.url, 'The arguments are a base URL, such as http://localhost:8080, and a path.');
}
const LONGEST_DENIAL_MS = 1_000;
const REQUEST_TIMEOUT_MS = 10_000;

let stepNumber = 0;

async function call(method, path, { token, body, headers = {} } = {}) {
  const response = await fetch(new URL(path, base), {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, body: isJson ? JSON.parse(text) : text };
}

class StepFailedError extends Error {}

function expectStatus({ status, body }, expected, code) {
  if (status !== expected || (code !== undefined && body?.code !== code)) {
    const wanted = code === undefined ? expected : `${expected} ${code}`;
    throw new StepFailedError(
      `expected ${wanted}, got ${status} ${typeof body === 'string' ? body : (body.code ?? '')}`,
    );
  }
}

/** @param work returns the text to print */
async function step(title, work) {
  stepNumber += 1;
  const label = `${String(stepNumber).padStart(2)}. ${title} `;
  process.stdout.write(label.padEnd(62, '.'));
  const startedAtMs = performance.now();
  const remark = await work();
  const tookMs = Math.round(performance.now() - startedAtMs);
  process.stdout.write(` ok  ${String(tookMs).padStart(5)} ms${remark === undefined ? '' : `  ${remark}`}\n`);
}

/** Asks the backend until it refuses, which has to happen within a second. */
async function waitForDenial(token) {
  const startedAtMs = performance.now();
  for (;;) {
    const { status } = await call('GET', backendPath, { token });
    const tookMs = performance.now() - startedAtMs;
    if (status === 401) {
      return `denied after ${Math.round(tookMs)} ms`;
    }
    if (tookMs > LONGEST_DENIAL_MS) {
      throw new StepFailedError(`the backend still answers ${status} after ${Math.round(tookMs)} ms`);
    }
  }
}

const credentials = {
  email: `smoke-${randomBytes(6).toString('hex')}@example.com`,
  password: randomBytes(18).toString('base64url'),
};
let userId;
let pair;
let used;

async function signIn() {
  const answer = await call('POST', '/auth/login', { body: credentials });
  expectStatus(answer, 200);
  pair = answer.body;
}

async function isServed(origin) {
  const path = '/.well-known/jwks.json';
  const answer = await fetch(new URL(path, origin), { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  return answer.ok;
}

/** What the command line does not say follows from what answers. */
async function completeArguments() {
  for (const candidate of base === undefined ? BASES : []) {
    if (await isServed(candidate).catch(() => false)) {
      base = candidate;
      break;
    }
  }
  if (base === undefined) {
    throw new StepFailedError(`No service answers at ${BASES.join(' or ')}. Start one, or name its base URL.`);
  }
  if (backendPath === undefined) {
    const { status } = await call('GET', '/orders').catch(() => ({ status: undefined }));
    backendPath = status === 404 ? '/auth/me' : '/orders';
  }
}

async function walk() {
  process.stdout.write(`Walking through ${base}, with the backend at ${backendPath}\n\n`);
  await step('Sign up', async () => {
    const answer = await call('POST', '/auth/register', { body: credentials });
    expectStatus(answer, 201);
    userId = answer.body.id;
    return credentials.email;
  });
  await step('Sign in', signIn);
  await step('Call the backend without a token: refused', async () => {
    expectStatus(await call('GET', backendPath), 401);
  });
  await step('Call the backend through the gateway', async () => {
    const answer = await call('GET', backendPath, { token: pair.access_token });
    expectStatus(answer, 200);
    if (!JSON.stringify(answer.body).includes(userId)) {
      throw new StepFailedError('the backend does not know the user');
    }
    return 'it knows the user';
  });
  await step('Claim another identity in a header: ignored', async () => {
    const otherUser = randomUUID();
    const headers = { 'x-user-id': otherUser, 'x-user-roles': 'admin' };
    const answer = await call('GET', backendPath, { token: pair.access_token, headers });
    expectStatus(answer, 200);
    if (JSON.stringify(answer.body).includes(otherUser)) {
      throw new StepFailedError('the backend believed the header of the client');
    }
  });
  await step('Refresh', async () => {
    used = pair;
    const key = randomBytes(16).toString('base64url');
    const headers = { 'idempotency-key': key };
    const answer = await call('POST', '/auth/refresh', { body: { refresh_token: used.refresh_token }, headers });
    expectStatus(answer, 200);
    pair = answer.body;
    const again = await call('POST', '/auth/refresh', { body: { refresh_token: used.refresh_token }, headers });
    expectStatus(again, 200);
    if (again.body.refresh_token !== pair.refresh_token) {
      throw new StepFailedError('a retry with the same Idempotency-Key got another token');
    }
    return 'and its retry got the same token';
  });
  await step('Show the used refresh token, as a thief would: caught', async () => {
    const answer = await call('POST', '/auth/refresh', { body: { refresh_token: used.refresh_token } });
    expectStatus(answer, 401, 'refresh_token_reused');
  });
  await step('Call the backend with the session that this ended', () => waitForDenial(pair.access_token));
  await step('Refresh with its newest token: refused', async () => {
    const answer = await call('POST', '/auth/refresh', { body: { refresh_token: pair.refresh_token } });
    expectStatus(answer, 401, 'refresh_token_reused');
  });
  await step('Sign in again', signIn);
  await step('Call the backend', async () => {
    expectStatus(await call('GET', backendPath, { token: pair.access_token }), 200);
  });
  await step('Sign out', async () => {
    expectStatus(await call('POST', '/auth/logout', { body: { refresh_token: pair.refresh_token } }), 204);
  });
  await step('Call the backend after signing out', () => waitForDenial(pair.access_token));
  process.stdout.write(`\nAll ${stepNumber} steps went as they should.\n`);
}

try {
  await completeArguments();
  await walk();
} catch (error) {
  const reason = error instanceof StepFailedError ? error.message : (error.cause?.message ?? error.message);
  process.stdout.write(`${stepNumber > 0 ? ' FAILED\n\n' : ''}${reason}\n`);
  process.exitCode = 1;
}
