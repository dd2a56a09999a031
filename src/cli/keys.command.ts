import type { Command } from 'commander';
import { KeyTasks } from './key.tasks.js';
import { callingHelp, createCommand, EXIT_CODES_HELP } from './run-command.js';
import type { Invocation } from './terminal.js';

const LIFE_HELP = `
A key is published (next), then signs (active), then only verifies (retiring), then is removed. The service does all of
it by itself; see plan.`;

const ROTATE_HELP = `
Publishes the next key, or lets a waiting one sign if SIGNING_KEY_PUBLICATION_SECONDS have passed since its publication.
Before that, gateways and backends that cache the keys would refuse good tokens until they fetch them again. --force
accepts that, and waits only until the instances of the service themselves know the key.`;

const REPLACE_HELP = `
Use it for a key that may have been stolen, whether or not it is the one that signs. Another key begins to sign after
20 s, when every instance knows it, and the stolen one leaves the published set in the same instant: verifiers that fetch
the set for the first new token drop it. Tokens that it signed are refused from then on, and their clients refresh.
A command that is interrupted loses nothing: see plan.`;

const RETIRE_HELP = `
--force removes a key even if tokens that it signed may still be valid. Verifiers that cache the keys accept it until
their cache expires. For a key that may have been stolen, use replace.`;

/** The operator's commands for signing keys. Only reads the command line; `KeyTasks` does the work. */
export function keysCommand(invocation: Invocation): Command {
  const { program, writeAnswer } = createCommand('keys', invocation);
  const tasks = new KeyTasks(invocation, writeAnswer);
  program
    .description('Manages the signing keys of the configured database, whether or not a service is running.')
    .addHelpText('after', LIFE_HELP + callingHelp('keys') + EXIT_CODES_HELP);

  program
    .command('list')
    .description('Show the keys, the oldest first.')
    .action(() => tasks.list());

  program
    .command('plan')
    .description('Show what a service with these settings will do by itself, and when.')
    .action(() => tasks.plan());

  program
    .command('rotate')
    .description('Start or complete a rotation now.')
    .option('--force', 'complete it in seconds, without waiting for caches of the keys')
    .addHelpText('after', ROTATE_HELP)
    .action(({ force }: { force?: true }) => (force === true ? tasks.rotateByForce() : tasks.rotate()));

  program
    .command('replace')
    .description('Replace a key that may have been stolen, in 20 s.')
    .argument('<kid>', 'as shown by list; after -- if it begins with a dash')
    .option('--force', 'accept that tokens which it signed are refused')
    .addHelpText('after', REPLACE_HELP)
    .action((kid: string, { force }: { force?: true }) => tasks.replace(kid, { mayEndTokens: force === true }));

  program
    .command('retire')
    .description('Remove a key before its time.')
    .argument('<kid>', 'as shown by list; after -- if it begins with a dash')
    .option('--force', 'even if tokens that it signed may still be valid')
    .addHelpText('after', RETIRE_HELP)
    .action((kid: string, { force }: { force?: true }) => tasks.retire(kid, { mayEndTokens: force === true }));

  program
    .command('reencrypt')
    .description(
      'Encrypt private keys and authenticator apps under AUTH_SECRET, so that none needs AUTH_SECRET_ACCEPTED.',
    )
    .action(() => tasks.reencrypt());

  return program;
}
