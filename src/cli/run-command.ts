import { Command, CommanderError } from 'commander';
import { IS_PUBLISHED } from '../platform/common/version.js';
import { type Invocation, processInvocation } from './terminal.js';

const EXIT_FAILED = 1;

/** The exit code that shells use for wrong usage. */
const EXIT_MISUSED = 2;

/** The end of every command's help. */
export const EXIT_CODES_HELP = `
Exit codes: 0 done, ${EXIT_FAILED} not done (the reason is on standard error), ${EXIT_MISUSED} called wrongly.`;

/** The part of its help that says how an operator's command is called and what its settings are. */
export function callingHelp(name: 'users' | 'keys' | 'mails'): string {
  const outsideOfPackage = `
From a checkout: npm run ${name} -- <command>, or npm run -s ${name} -- <command> for its output alone.
In the container image: node dist/cli/${name}.js <command>.`;
  return `${IS_PUBLISHED ? '' : outsideOfPackage}
Settings are the service's own, from the environment and, in development, .env; in production DATABASE_URL and
AUTH_SECRET are required.`;
}

type BuildCommand = (invocation: Invocation) => Command;

/** What a command answers with when it has done its work. */
export interface Answer {
  /** For people: a text, or what makes one for a terminal of that many columns. */
  readonly text: string | ((width: number) => string);
  /** The same for programs, with the names and formats of the HTTP API. */
  readonly json: object;
}

export type WriteAnswer = (answer: Answer) => void;

/**
 * Creates the command line to which a program adds its commands. It writes only to the invocation. All commands have
 * `--json`, and answer by `writeAnswer`.
 */
export function createCommand(
  name: string,
  { answers, output }: Invocation,
): { readonly program: Command; readonly writeAnswer: WriteAnswer } {
  const program = new Command(IS_PUBLISHED ? `ratchet ${name}` : name)
    .exitOverride()
    .showHelpAfterError('Add --help for usage.')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => answers.write(text), writeErr: (text) => output.write(text) })
    .option('--json', 'answer in JSON, for programs');
  const writeAnswer = ({ text, json }: Answer): void => {
    answers.write(
      `${program.opts<{ json?: true }>().json === true ? JSON.stringify(json, undefined, 2) : shown(text)}\n`,
    );
  };
  /** A file or a pipe gets one line for each row, however long. */
  const shown = (text: Answer['text']): string =>
    typeof text === 'string' ? text : text(answers.columns ?? Number.POSITIVE_INFINITY);
  return { program, writeAnswer };
}

/**
 * Runs the command line of this process and sets the exit code.
 *
 * @param interruption interrupts it, so that no embedded database is left running
 */
export async function runProgram(build: BuildCommand, interruption: AbortSignal): Promise<void> {
  // `users list | head` closes the pipe when it has seen enough, and the command goes on without a reader.
  process.stdout.on('error', () => undefined);
  const exitCode = await runCommand(build, processInvocation(interruption));
  if (exitCode !== 0) {
    // Everything is closed by now, unless the services failed while they started: Nest then provides no handle to close
    // them, and their connections would keep the process alive for seconds.
    process.exit(exitCode);
  }
}

/**
 * Runs a command line. Only the answer is on standard output; a failure is one sentence on standard error.
 *
 * @returns the exit code
 */
export async function runCommand(build: BuildCommand, invocation: Invocation): Promise<number> {
  try {
    await build(invocation).parseAsync(invocation.args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed it already, and requested help is not a failure.
      return error.exitCode === 0 ? 0 : EXIT_MISUSED;
    }
    const { failureText } = await import('./failure.report.js');
    invocation.output.write(`${failureText(error)}\n`);
    return EXIT_FAILED;
  }
}
