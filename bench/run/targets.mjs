import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SEEDED_PASSWORD } from '../ratchet/fill-database.mjs';
import { shuffled } from '../load/random.mjs';
import { BENCH } from './bench.mjs';
import { Ratchet } from './ratchet.mjs';
import { range } from './range.mjs';
import { POOL_SIZE } from './scale.mjs';
import { freePort, ServerProcess } from './server-process.mjs';
import { mintPairs } from './token-pairs.mjs';

/** Sessions that a peer's verify goes through; none of them keeps anything between requests that more would upset. */
const PEER_SESSIONS = 64;

/**
 * What is measured. A target has a `name`, a `title`, the `database` it uses, and `prepare`, which fills that database
 * and resolves to `port`, `start` and `operations`: for each the `spec` for the load generator, whether its latency at
 * half of the knee is of interest (`open`), and whether each credential is to be used once and measured from the first
 * request on (`isFirstSight`).
 */
export const TARGETS = [
  {
    name: 'ratchet',
    title: 'Ratchet',
    database: 'bench_ratchet',
    async prepare(bench) {
      const { rows } = bench.scale;
      const url = await Ratchet.createDatabase(bench, this.database, { users: rows, families: rows });
      const ratchet = await Ratchet.create(bench, this.name, url);
      const pairs = await withServer(ratchet, () => ratchet.mintPairs(shuffled(range(rows))));
      const accessTokens = pairs.map(({ accessToken }) => accessToken);
      const refreshTokens = pairs.map(({ refreshToken }) => refreshToken);
      const half = rows / 2;
      return {
        port: ratchet.port,
        start: () => ratchet.start(),
        login: ratchet.login(rows),
        operations: {
          verify: { spec: ratchet.verify(accessTokens.slice(0, PEER_SESSIONS)), open: true },
          'verify, tokens seen for the first time': { spec: ratchet.verify(accessTokens), isFirstSight: true },
          'verify, many tokens': { spec: ratchet.verify(accessTokens), open: true },
          refresh: { spec: ratchet.refresh(refreshTokens.slice(0, half)), open: true },
          'refresh with Idempotency-Key': {
            spec: ratchet.refresh(refreshTokens.slice(half), { idempotencyKey: true }),
            open: true,
          },
          login: { spec: ratchet.login(rows), open: true },
        },
      };
    },
  },
  {
    name: 'ratchet-one-by-one',
    title: 'Ratchet, one statement per refresh',
    database: 'bench_ratchet_one_by_one',
    async prepare(bench) {
      const { rows } = bench.scale;
      const url = await Ratchet.createDatabase(bench, this.database, { users: rows, families: rows });
      const ratchet = await Ratchet.create(bench, this.name, url, { batching: 'off' });
      const tokens = range(rows).map((index) => ratchet.sessions.refreshToken(index));
      return {
        port: ratchet.port,
        start: () => ratchet.start(),
        operations: { refresh: { spec: ratchet.refresh(tokens), open: true } },
      };
    },
  },
  betterAuth({ name: 'better-auth', title: 'better-auth', cookieCache: 'off' }),
  betterAuth({ name: 'better-auth-cookie-cache', title: 'better-auth, cookie cache', cookieCache: 'on' }),
  {
    name: 'oidc-provider',
    title: 'oidc-provider',
    database: 'bench_oidc_provider',
    async prepare(bench) {
      const env = peerEnvironment(await bench.server.createDatabase(this.database));
      const { tokens } = await bench.runSeed('peers/oidc-provider/seed.mjs', {
        ...env,
        ROWS: String(bench.scale.rows),
      });
      const port = await freePort();
      return {
        port,
        start: () =>
          startPeer(bench, this.name, 'peers/oidc-provider/server.mjs', port, env, '/.well-known/openid-configuration'),
        operations: {
          refresh: {
            spec: {
              method: 'POST',
              path: '/token',
              place: 'form',
              body: 'grant_type=refresh_token&client_id=bench&refresh_token=$',
              successor: 'refresh_token',
              credentials: tokens,
            },
            open: true,
          },
        },
      };
    },
  },
  nestApplication({ name: 'nest-fastify', title: 'Nest + passport-jwt + TypeORM, Fastify', platform: 'fastify' }),
  nestApplication({ name: 'nest-express', title: 'Nest + passport-jwt + TypeORM, Express', platform: 'express' }),
  emptyRoute({
    name: 'limit-empty-route',
    title: "limit: empty route of Ratchet's server",
    path: '/health/empty',
    program: 'limits/empty-route.mjs',
  }),
  emptyRoute({
    name: 'limit-plain-nest',
    title: 'limit: empty route, plain Nest on Fastify',
    path: '/empty',
    program: 'limits/plain-nest.mjs',
  }),
  emptyRoute({
    name: 'limit-node-http',
    title: 'limit: empty answer of node:http',
    path: '/',
    program: 'limits/node-http.mjs',
  }),
];

function betterAuth({ name, title, cookieCache }) {
  return {
    name,
    title,
    database: `bench_${name.replaceAll('-', '_')}`,
    async prepare(bench) {
      const env = {
        ...peerEnvironment(await bench.server.createDatabase(this.database)),
        BETTER_AUTH_SECRET: randomBytes(32).toString('base64url'),
        COOKIE_CACHE: cookieCache,
      };
      const { cookies, emails } = await bench.runSeed('peers/better-auth/seed.mjs', {
        ...env,
        SESSIONS: String(PEER_SESSIONS),
        ROWS: String(bench.scale.rows),
        PASSWORD: SEEDED_PASSWORD,
      });
      const port = await freePort();
      const isPlain = cookieCache === 'off';
      return {
        port,
        start: () => startPeer(bench, name, 'peers/better-auth/server.mjs', port, env, '/api/auth/ok'),
        operations: {
          verify: {
            spec: { method: 'GET', path: '/api/auth/get-session', place: 'cookie', credentials: cookies },
            open: isPlain,
          },
          refresh: {
            spec: { method: 'GET', path: '/api/auth/token', place: 'cookie', credentials: cookies },
            open: isPlain,
          },
          ...(isPlain && {
            login: {
              spec: {
                method: 'POST',
                path: '/api/auth/sign-in/email',
                place: 'json',
                body: `{"email":"$","password":"${SEEDED_PASSWORD}"}`,
                credentials: emails,
              },
              open: true,
            },
          }),
        },
      };
    },
  };
}

function nestApplication({ name, title, platform }) {
  return {
    name,
    title,
    database: `bench_${name.replaceAll('-', '_')}`,
    async prepare(bench) {
      const env = {
        ...peerEnvironment(await bench.server.createDatabase(this.database)),
        JWT_SECRET: randomBytes(32).toString('base64url'),
        PLATFORM: platform,
      };
      const { tokens, emails } = await bench.runSeed('peers/nest-typeorm/seed.mjs', {
        ...env,
        ROWS: String(bench.scale.rows),
        PASSWORD: SEEDED_PASSWORD,
      });
      const port = await freePort();
      const start = () => startPeer(bench, name, 'peers/nest-typeorm/dist/main.js', port, env, '/auth/ready');
      const pairs = await withServer({ start }, () => mintPairs(port, '/auth/refresh', tokens.slice(0, PEER_SESSIONS)));
      const isOnFastify = platform === 'fastify';
      return {
        port,
        start,
        operations: {
          verify: {
            spec: {
              method: 'GET',
              path: '/auth/verify',
              place: 'bearer',
              credentials: pairs.map(({ accessToken }) => accessToken),
            },
            open: isOnFastify,
          },
          refresh: {
            spec: {
              method: 'POST',
              path: '/auth/refresh',
              place: 'json',
              body: '{"refresh_token":"$"}',
              successor: 'refresh_token',
              credentials: tokens.slice(PEER_SESSIONS),
            },
            open: isOnFastify,
          },
          ...(isOnFastify && {
            login: {
              spec: {
                method: 'POST',
                path: '/auth/login',
                place: 'json',
                body: `{"email":"$","password":"${SEEDED_PASSWORD}"}`,
                credentials: emails,
              },
              open: true,
            },
          }),
        },
      };
    },
  };
}

function emptyRoute({ name, title, path, program }) {
  return {
    name,
    title,
    isLimit: true,
    async prepare(bench) {
      const port = await freePort();
      // It reads the service's configuration, but connects to no database.
      const env = bench.ratchetEnvironment('postgres://nobody@127.0.0.1:1/none');
      return {
        port,
        start: () => startPeer(bench, name, program, port, env, path),
        operations: {
          verify: {
            spec: { method: 'GET', path, credentials: Array(PEER_SESSIONS).fill('') },
            open: name === 'limit-empty-route',
          },
        },
      };
    },
  };
}

function peerEnvironment(databaseUrl) {
  return { DATABASE_URL: databaseUrl, POOL_SIZE: String(POOL_SIZE) };
}

function startPeer(bench, name, program, port, env, readyPath) {
  return ServerProcess.start({
    args: [join(BENCH, program)],
    env,
    port,
    readyPath,
    logFile: bench.logFile(name),
  });
}

async function withServer(startable, work) {
  const server = await startable.start();
  try {
    return await work();
  } finally {
    await server.stop();
  }
}
