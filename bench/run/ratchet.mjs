import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrateDatabase } from '../../dist/platform/database/migrate.js';
import { fillDatabase, SEEDED_PASSWORD } from '../ratchet/fill-database.mjs';
import { SeededSessions } from '../ratchet/seeded-session.mjs';
import { BENCH, ROOT } from './bench.mjs';
import { mintPairs } from './token-pairs.mjs';
import { freePort, ServerProcess } from './server-process.mjs';

/** Those of `npm start`, between its `exec node` and the program. */
const START_ARGUMENTS = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  .scripts.start.split(' ')
  .slice(2, -2);

const ONE_STATEMENT_PER_REQUEST = join(BENCH, 'ratchet', 'one-statement-per-request.mjs');

/** The service, as `npm start` runs it, over a database of its own. */
export class Ratchet {
  /** A migrated and filled database. @returns its URL */
  static async createDatabase(bench, name, { users, families, withTombstones = false }) {
    const url = await bench.server.createDatabase(name);
    await migrateDatabase(url);
    const sessions = new SeededSessions(bench.authSecret);
    await fillDatabase({ url, sessions, users, families, withTombstones });
    return url;
  }

  /** @param batching `off` sends one statement for every refresh */
  static async create(bench, name, databaseUrl, { batching = 'on' } = {}) {
    const program =
      batching === 'on'
        ? [join(ROOT, 'dist', 'main.js')]
        : ['--import', ONE_STATEMENT_PER_REQUEST, join(ROOT, 'dist', 'main.unbundled.js')];
    return new Ratchet(bench, name, databaseUrl, await freePort(), program);
  }

  constructor(bench, name, databaseUrl, port, program) {
    this.bench = bench;
    this.name = name;
    this.databaseUrl = databaseUrl;
    this.port = port;
    this.program = program;
    this.sessions = new SeededSessions(bench.authSecret);
  }

  /** @param env on top of the service's environment */
  start(env = {}) {
    return ServerProcess.start({
      args: [...START_ARGUMENTS, ...this.bench.nodeArgs, ...this.program],
      env: { ...this.bench.ratchetEnvironment(this.databaseUrl), ...env },
      port: this.port,
      readyPath: '/health/live',
      logFile: this.bench.logFile(this.name),
    });
  }

  /** Uses up the first token of each family. @returns their pairs; the server must be running */
  mintPairs(indexes) {
    return mintPairs(
      this.port,
      '/auth/refresh',
      indexes.map((index) => this.sessions.refreshToken(index)),
    );
  }

  verify(accessTokens) {
    return { method: 'GET', path: '/auth/verify', place: 'bearer', credentials: accessTokens };
  }

  listSessions(accessTokens) {
    return { method: 'GET', path: '/auth/sessions', place: 'bearer', credentials: accessTokens };
  }

  refresh(refreshTokens, { idempotencyKey = false } = {}) {
    return {
      method: 'POST',
      path: '/auth/refresh',
      place: 'json',
      body: '{"refresh_token":"$"}',
      successor: 'refresh_token',
      credentials: refreshTokens,
      idempotencyKey,
    };
  }

  login(users) {
    return {
      method: 'POST',
      path: '/auth/login',
      place: 'json',
      body: `{"email":"$","password":"${SEEDED_PASSWORD}"}`,
      credentials: Array.from({ length: users }, (_, index) => this.sessions.emailOf(index)),
    };
  }
}
