#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { RatchetTestError } from './errors.js';
import { RUNNER, type StartOptions, startRatchet } from './start-ratchet.js';

const EXIT_FAILED = 1;
const EXIT_NOT_FOUND = 127;

const EXIT_MISUSED = 2;

/** Runs a command while a runner is up, with its addresses in the environment, and ends as the command does. */
async function run(options: readonly string[], [program = '', ...args]: readonly string[]): Promise<number> {
  if (program === '') {
    throw new TypeError('After -- comes the command to run: ratchet-test -- node --test');
  }
  const ratchet = await startRatchet(readOptions(options));
  const child = spawn(program, args, { stdio: 'inherit' });
  // A terminal sends it to the command as well, whose end is waited for.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + constants.signals[signal ?? 'SIGKILL'];
  } catch (error) {
    process.stderr.write(`ratchet-test: ${messageOf(error)}\n`);
    return EXIT_NOT_FOUND;
  } finally {
    await ratchet.stop();
  }
}

/** @throws TypeError for what there is not */
function readOptions(args: readonly string[]): StartOptions {
  const { port, config } = parseArgs({
    args: [...args],
    options: { port: { type: 'string' }, config: { type: 'string' } },
  }).values;
  return {
    ...(port !== undefined && { port: Number(port) }),
    ...(config !== undefined && { config: JSON.parse(config) as Record<string, string> }),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const args = process.argv.slice(2);
const separator = args.indexOf('--');
if (separator === -1) {
  // The runner itself, with its own options and signals.
  void import(pathToFileURL(RUNNER).href);
} else {
  void run(args.slice(0, separator), args.slice(separator + 1))
    .catch((error: unknown) => {
      process.stderr.write(`${messageOf(error)}\n`);
      return error instanceof RatchetTestError ? EXIT_FAILED : EXIT_MISUSED;
    })
    .then((exitCode) => {
      process.exitCode = exitCode;
    });
}
