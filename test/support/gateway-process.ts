import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.js';
import { testRun } from './test-run.js';

const LONGEST_START_MS = 15_000;

/** The folder with the configurations that are shipped. */
export const RECIPES = fileURLToPath(new URL('../../gateways/', import.meta.url));

/** Where the parts around a gateway listen, each as `host:port`. */
export interface GatewaySurroundings {
  readonly ratchet: string;
  readonly backend: string;
}

export interface RunningGateway {
  readonly url: string;
  accessLog(): Promise<string>;
  stop(): Promise<void>;
}

/** Says so when it is not: the recipe has not been tried then. */
export function isInstalled(program: string, versionFlag: string): boolean {
  const found = spawnSync(program, [versionFlag]).error === undefined;
  if (!found) {
    process.stderr.write(`SKIPPED: ${program} is not installed, so its recipe is not run (.ci/run installs it)\n`);
  }
  return found;
}

/** An empty folder for what a program wants to write; gone after the run. */
export function makeScratchFolder(name: string): Promise<string> {
  return mkdtemp(join(testRun().runDir, `${name}-`));
}

/** A log that is searched for secrets after the run. */
export function newLogPath(name: string): string {
  return join(testRun().runDir, 'logs', `${name}-${randomBytes(6).toString('hex')}.log`);
}

/**
 * A gateway in the foreground, from the moment it accepts connections. What it writes to its terminal goes into a log.
 *
 * @param accessLogPath the file it logs requests to; undefined when that is its terminal
 * @throws Error with its output when it ends instead
 */
export async function runGateway(
  [program, ...args]: readonly [string, ...string[]],
  {
    port,
    environment = {},
    accessLogPath,
  }: { readonly port: number; readonly environment?: Record<string, string>; readonly accessLogPath?: string },
): Promise<RunningGateway> {
  const { PATH = '' } = process.env;
  const outputPath = newLogPath('gateway');
  const output = createWriteStream(outputPath);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, ...environment } });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const closed = once(child, 'close');
  await eventually(async () => hasEnded(child) || (await accepts(port)), { withinMs: LONGEST_START_MS });
  if (hasEnded(child)) {
    await closed;
    throw new Error(`${program} has ended: ${await readFile(outputPath, 'utf8')}`);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    accessLog: () => readFile(accessLogPath ?? outputPath, 'utf8'),
    stop: async () => {
      child.kill('SIGTERM');
      await closed;
      output.end();
      await finished(output);
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
