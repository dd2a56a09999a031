import { type Command, InvalidArgumentError } from 'commander';
import type { UserPage } from '../users/users.types.js';
import { callingHelp, createCommand, EXIT_CODES_HELP } from './run-command.js';
import type { Invocation } from './terminal.js';
import { UserTasks } from './user.tasks.js';

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1_000;

const USER = 'e-mail or id';

const PASSWORD_HELP = `
The password is asked for, without being shown, where there is a terminal; otherwise it is the first line of standard
input. It is taken from no argument and no environment variable, which other processes and the shell's history keep.`;

/** The operator's commands for accounts. Only reads the command line; `UserTasks` does the work. */
export function usersCommand(invocation: Invocation): Command {
  const { program, writeAnswer } = createCommand('users', invocation);
  const tasks = new UserTasks(invocation, writeAnswer);
  program
    .description('Manages the accounts of the configured database, whether or not a service is running.')
    .addHelpText('after', callingHelp('users') + EXIT_CODES_HELP);

  program
    .command('create')
    .description('Make an account.')
    .argument('<email>')
    .option('--roles <names>', 'comma-separated', parseNames)
    .option('--generate', 'generate a strong password and print it once')
    .addHelpText('after', PASSWORD_HELP)
    .action((email: string, { roles, generate }: { roles?: string[]; generate?: true }) =>
      tasks.create(email, roles ?? [], generate === true),
    );

  program
    .command('list')
    .description('Show accounts, in the order of their e-mails.')
    .option('--prefix <text>', 'only e-mails that begin with this')
    .option('--limit <number>', `at most this many, 1 to ${MAX_PAGE_SIZE}`, parsePageSize, DEFAULT_PAGE_SIZE)
    .option('--after <email>', 'only e-mails after this one')
    .action(({ prefix, limit, after }: { prefix?: string; limit: number; after?: string }) => {
      const page: UserPage = {
        limit,
        ...(prefix === undefined ? {} : { emailPrefix: prefix }),
        ...(after === undefined ? {} : { after: after.toLowerCase() }),
      };
      return tasks.list(page);
    });

  program
    .command('roles')
    .description('Show the roles of an account, or replace them.')
    .argument('<user>', USER)
    .option('--set <names>', 'exactly these, comma-separated; "" for none', parseNames)
    .action((user: string, { set }: { set?: string[] }) =>
      set === undefined ? tasks.showRoles(user) : tasks.setRoles(user, set),
    );

  program
    .command('set-password')
    .description('Give an account another password and end its sessions.')
    .argument('<user>', USER)
    .option('--generate', 'generate a strong password and print it once')
    .addHelpText('after', PASSWORD_HELP)
    .action((user: string, { generate }: { generate?: true }) => tasks.setPassword(user, generate === true));

  program
    .command('disable')
    .description('Refuse an account every login and refresh, and end its sessions.')
    .argument('<user>', USER)
    .action((user: string) => tasks.disable(user));

  program
    .command('enable')
    .description('Let a disabled account sign in again. Sessions that have ended stay ended.')
    .argument('<user>', USER)
    .action((user: string) => tasks.enable(user));

  program
    .command('end-sessions')
    .description('Sign an account out everywhere.')
    .argument('<user>', USER)
    .action((user: string) => tasks.endSessions(user));

  program
    .command('reset-factors')
    .description(
      'Remove all second factors and recovery codes of an account, and end its sessions. The user is mailed.',
    )
    .argument('<user>', USER)
    .action((user: string) => tasks.resetFactors(user));

  program
    .command('delete')
    .description('Remove an account and end its sessions.')
    .argument('<user>', USER)
    .option('--yes', 'do not ask; required without a terminal')
    .action((user: string, { yes }: { yes?: true }, command: Command) => {
      if (yes === undefined && invocation.input.isTTY !== true) {
        command.error('error: there is no terminal to ask on, so deleting needs --yes');
      }
      return tasks.delete(user, { mustConfirm: yes === undefined });
    });

  return program;
}

function parseNames(text: string): string[] {
  return text === '' ? [] : text.split(',').map((name) => name.trim());
}

function parsePageSize(text: string): number {
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (size < 1 || size > MAX_PAGE_SIZE) {
    throw new InvalidArgumentError(`Not a whole number from 1 to ${MAX_PAGE_SIZE}.`);
  }
  return size;
}
