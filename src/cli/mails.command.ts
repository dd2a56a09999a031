import { type Command, InvalidArgumentError } from 'commander';
import { MailTasks } from './mail.tasks.js';
import { callingHelp, createCommand, EXIT_CODES_HELP } from './run-command.js';
import type { Invocation } from './terminal.js';

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1_000;

const RETRY_HELP = `
Every instance looks for due mails every 5 seconds. A mail whose link has expired or was used is given up again, and one
that is older than a day is tried once.`;

/** The operator's commands for mails. Only reads the command line; `MailTasks` does the work. */
export function mailsCommand(invocation: Invocation): Command {
  const { program, writeAnswer } = createCommand('mails', invocation);
  const tasks = new MailTasks(invocation, writeAnswer);
  program
    .description('Manages the mails of the configured database that have not been sent.')
    .addHelpText('after', callingHelp('mails') + EXIT_CODES_HELP);

  program
    .command('list')
    .description('Show mails that wait or were given up, the oldest first.')
    .option('--limit <number>', `at most this many, 1 to ${MAX_PAGE_SIZE}`, parsePageSize, DEFAULT_PAGE_SIZE)
    .action(({ limit }: { limit: number }) => tasks.list(limit));

  program
    .command('retry')
    .description('Have mails sent now.')
    .argument('[id]', 'as shown by list')
    .option('--all', 'every mail that was given up')
    .addHelpText('after', RETRY_HELP)
    .action((id: string | undefined, { all }: { all?: true }, command: Command) => {
      if ((id === undefined) === (all === undefined)) {
        command.error('error: retry takes the id of a mail, or --all');
      }
      return tasks.retry(id?.toLowerCase());
    });

  program
    .command('show')
    .description('Show the newest mail that became a file, in development.')
    .action(() => tasks.show());

  return program;
}

function parsePageSize(text: string): number {
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (size < 1 || size > MAX_PAGE_SIZE) {
    throw new InvalidArgumentError(`Not a whole number from 1 to ${MAX_PAGE_SIZE}.`);
  }
  return size;
}
