import { type Command, CommanderError } from 'commander';

const EXIT_FAILED = 1;

/** The exit code that shells use for wrong usage. */
const EXIT_MISUSED = 2;

/** The end of every command's help. */
export const EXIT_CODES_HELP = `
Exit codes: 0 done, ${EXIT_FAILED} not done (the reason is on standard error), ${EXIT_MISUSED} called wrongly.`;

/**
 * Runs a command line and sets the exit code. Only the answer is on standard output; a failure is one sentence on
 * standard error.
 *
 * @param build receives a signal that aborts on SIGINT and SIGTERM. Waiting then stops, and what has been started is
 *   finished and closed, so that no embedded database is left running.
 */
export async function runCommand(build: (interrupted: AbortSignal) => Command): Promise<void> {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      interruption.abort();
    });
  }
  try {
    await build(interruption.signal).parseAsync();
  } catch (error) {
    // Everything is closed by now, unless the services failed while they started: Nest then provides no handle to close
    // them, and their connections would keep the process alive for seconds.
    process.exit(await reportFailure(error));
  }
}

async function reportFailure(error: unknown): Promise<number> {
  if (error instanceof CommanderError) {
    // Commander has printed it already, and requested help is not a failure.
    return error.exitCode === 0 ? 0 : EXIT_MISUSED;
  }
  const { failureText } = await import('./failure.report.js');
  process.stderr.write(`${failureText(error)}\n`);
  return EXIT_FAILED;
}
