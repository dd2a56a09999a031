import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { Proxy } from './proxy.mjs';

const DEADLINE_MS = 60_000;
const AUTH_SECRET = 'auth-secret-of-the-fault-proof-Qm7vT2xLw9Zk4Rb6';

export async function until(condition, what, withinMs = DEADLINE_MS) {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`${what} did not happen within ${withinMs / 1000} s`);
    }
    await pause(20);
  }
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A PostgreSQL that can be killed and comes back with its data, maybe on another port. */
export class Database {
  constructor(startEmbeddedPostgres, folder) {
    this.start = async () => {
      const server = await startEmbeddedPostgres({
        dataDirectory: folder,
        serverSettings: { max_connections: '200', restart_after_crash: 'off' },
      });
      this.server = server;
      this.port = Number(new URL(server.url).port);
    };
    this.pidFile = join(folder, 'postgres/data/postmaster.pid');
  }

  /** The address through a port of a proxy. */
  urlAt(port) {
    const url = new URL(this.server.url);
    url.port = String(port);
    return url.href;
  }

  async sql(text, values, { isSuperuser = false } = {}) {
    const url = new URL(isSuperuser ? this.server.superuserUrl : this.server.url);
    if (isSuperuser) {
      url.pathname = new URL(this.server.url).pathname;
    }
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends the server as a crash of its program does: nothing is written any more. */
  async crash() {
    const [pid] = (await readFile(this.pidFile, 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    await this.server.stop();
    await this.start();
  }

  async restart() {
    await this.server.stop();
    await this.start();
  }
}

const children = new Set();

// However the script ends.
process.on('exit', () => {
  for (const child of children) {
    child.kill('SIGKILL');
  }
});

/** One process of the service behind a proxy of its own. */
export class Instance {
  isMeantToRun = false;

  constructor(name, { checkout, database, folder, environment, onViolation }) {
    Object.assign(this, { name, checkout, database, environment, onViolation });
    this.proxy = new Proxy(() => database.port);
    this.logFile = join(folder, `${name}.log`);
    this.log = createWriteStream(this.logFile, { flags: 'a' });
  }

  async open() {
    await this.proxy.listen();
    this.port = await freePort();
    this.spawn();
    await this.untilReady();
  }

  spawn() {
    const child = spawn(process.execPath, ['dist/main.js'], {
      cwd: this.checkout,
      env: {
        PATH: process.env.PATH,
        NODE_ENV: 'test',
        AUTH_SECRET,
        DATABASE_URL: this.database.urlAt(this.proxy.port),
        HOST: '127.0.0.1',
        PORT: String(this.port),
        RATE_LIMITS: 'off',
        LOG_LEVEL: 'warn',
        JWT_ISSUER: 'http://127.0.0.1',
        ...this.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.isMeantToRun = true;
    this.child = child;
    children.add(child);
    child.once('exit', () => children.delete(child));
    child.stdout.pipe(this.log, { end: false });
    child.stderr.pipe(this.log, { end: false });
    child.once('exit', (code, signal) => {
      if (this.isMeantToRun && this.child === child) {
        this.onViolation(`${this.name} ended by itself: exit code ${code}, signal ${signal}`);
        this.spawn();
      }
    });
  }

  async untilReady() {
    await until(async () => {
      try {
        return (await fetch(`http://127.0.0.1:${this.port}/health/ready`, { signal: AbortSignal.timeout(1_000) })).ok;
      } catch {
        return false;
      }
    }, `that ${this.name} is ready`);
  }

  async end(signal) {
    this.isMeantToRun = false;
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      const overdue = setTimeout(() => {
        this.onViolation(`${this.name} did not end within ${DEADLINE_MS / 1000} s of ${signal}`);
        child.kill('SIGKILL');
      }, DEADLINE_MS);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGCONT');
      child.kill(signal);
      await ended;
      clearTimeout(overdue);
    }
  }

  pauseProcess() {
    this.child.kill('SIGSTOP');
  }

  continueProcess() {
    this.child.kill('SIGCONT');
  }
}

/** Starts three instances, each behind a proxy of its own; what they do of their own accord is a violation. */
export async function openInstances({ checkout, database, folder, history }) {
  const instances = [1, 2, 3].map(
    (number) =>
      new Instance(`instance ${number}`, {
        checkout,
        database,
        folder,
        environment: { PASSWORD_HASH_COST: 'least' },
        onViolation: (details) => history.violation('a process does not run as it should', details),
      }),
  );
  for (const instance of instances) {
    await instance.open();
  }
  return instances;
}
