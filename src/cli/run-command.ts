import { type Command, CommanderError } from 'commander';

const EXIT_FAILED = 1;

/** What shells use for a command that was called in a way it does not understand. */
const EXIT_MISUSED = 2;

/** Said at the end of every command's help. */
export const EXIT_CODES_HELP = `
Exit codes: 0 done, ${EXIT_FAILED} not done (the reason is on standard error), ${EXIT_MISUSED} called wrongly.`;

/**
 * Runs a command line to its end and sets the exit code. The answer alone is on standard output; failures are one
 * sentence on standard error.
 *
 * @param build gets a signal that aborts on SIGINT and SIGTERM: whatever waits gives up, what has been started is
 *   finished and let go of, so that no embedded database is left running
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
    // Everything is closed by now, unless the services failed while they started: Nest then gives no handle to close
    // them by, and their connections would hold the process for seconds.
    process.exit(await reportFailure(error));
  }
}

async function reportFailure(error: unknown): Promise<number> {
  if (error instanceof CommanderError) {
    // It has been said already, and help that was asked for is not a failure.
    return error.exitCode === 0 ? 0 : EXIT_MISUSED;
  }
  const { failureText } = await import('./failure.report.js');
  process.stderr.write(`${failureText(error)}\n`);
  return EXIT_FAILED;
}
