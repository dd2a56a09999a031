import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ReadyLine } from './contract.js';
import { RatchetTestError } from './errors.js';
import { requireNoProduction } from './not-in-production.js';

/** The program that the child process runs. */
export const RUNNER = join(__dirname, 'runner', 'main.mjs');

/** Enough for a machine that does many other things, and the first start copies PostgreSQL's programs. */
const LONGEST_START_MS = 60_000;
const LONGEST_STOP_MS = 10_000;

/** How much of what the runner says last is kept for an error. */
const KEPT_CHARACTERS = 4_000;

/** They are for Node in the process of the tests: loaders, coverage, a debugger. */
const NOT_FOR_THE_RUNNER = ['NODE_OPTIONS', 'NODE_V8_COVERAGE'];

export interface StartOptions {
  /** Settings of the service, by the names of their environment variables, for all namespaces. */
  readonly config?: Readonly<Record<string, string>>;
  /** Default: a free one. */
  readonly port?: number;
}

/** A runner that this process has started. */
export interface StartedRatchet {
  /** The service of the namespace `main`. */
  readonly url: string;
  /** The base of the test routes, for `connectRatchet()`. */
  readonly testUrl: string;
  /** `iss` of the namespace `main`. */
  readonly issuer: string;
  /** `aud` of all namespaces. */
  readonly audience: string;
  /** Ends the service and its PostgreSQL, and sets the environment back. Does nothing the second time. */
  stop(): Promise<void>;
}

/**
 * Starts the real service with a PostgreSQL of its own, in a child process, and sets `RATCHET_URL`, `RATCHET_TEST_URL`,
 * `JWT_ISSUER` and `JWT_AUDIENCE` in `process.env`, which workers inherit. Call it once, in the global set-up of the tests.
 *
 * The child ends with this process, however that ends, and does not keep it alive.
 *
 * @throws RatchetTestError `start_failed` with what the child has said; also when `NODE_ENV` is `production`
 */
export async function startRatchet({ config = {}, port = 0 }: StartOptions = {}): Promise<StartedRatchet> {
  requireNoProduction('startRatchet()');
  const args = [RUNNER, '--parent-pipe', '--port', String(port), '--config', JSON.stringify(config)];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !NOT_FOR_THE_RUNNER.includes(name)));
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  // The end of the child is noticed as such.
  child.stdin.on('error', () => undefined);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-KEPT_CHARACTERS);
  });
  const closed = once(child, 'close');
  closed.catch(() => undefined);
  const ready = await firstLine(child);
  if (ready === undefined) {
    await closed;
    throw new RatchetTestError(
      `Ratchet's test kit has not started (exit code ${String(child.exitCode)}):\n${said.trim() || 'it has said nothing'}`,
      { code: 'start_failed', detail: said.trim() },
    );
  }
  letGo(child);
  const restore = setEnvironment({
    RATCHET_URL: ready.url,
    RATCHET_TEST_URL: ready.test_url,
    JWT_ISSUER: ready.issuer,
    JWT_AUDIENCE: ready.audience,
  });
  let isStopped = false;
  child.once('exit', () => {
    if (!isStopped) {
      process.stderr.write(`Ratchet's test kit has ended by itself:\n${said}`);
    }
  });
  return {
    url: ready.url,
    testUrl: ready.test_url,
    issuer: ready.issuer,
    audience: ready.audience,
    stop: async () => {
      if (!isStopped) {
        isStopped = true;
        restore();
        await end(child);
      }
    },
  };
}

/** @returns undefined when the child ends before, or does not become ready in time and is killed */
async function firstLine(child: ChildProcessWithoutNullStreams): Promise<ReadyLine | undefined> {
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_START_MS);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      return JSON.parse(line) as ReadyLine;
    }
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** From now on neither the child nor its pipes keep this process alive. */
function letGo(child: ChildProcess): void {
  child.unref();
  child.stdout?.resume();
  for (const pipe of [child.stdin, child.stdout, child.stderr]) {
    if (pipe instanceof Socket) {
      pipe.unref();
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_STOP_MS);
  child.ref();
  child.stdin?.end();
  await exited;
  clearTimeout(timer);
}

/** @returns what sets the variables back */
function setEnvironment(variables: Readonly<Record<string, string>>): () => void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- assigning undefined sets the text 'undefined'
        delete process.env[name];
      } else {
        process.env[name] = value;
      }
    }
  };
}
