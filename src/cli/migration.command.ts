import { type Command, InvalidArgumentError } from 'commander';
import { IS_PUBLISHED } from '../platform/common/version.js';
import { createCommand, EXIT_CODES_HELP } from './run-command.js';
import type { Invocation } from './terminal.js';

const CALLS = `
From a checkout: npm run migration:run, npm run migration:revert, npm run migration:generate -- <name>.
In the container image: node dist/cli/migration.js <command>.`;

const CALLING_HELP = `${IS_PUBLISHED ? '' : CALLS}
The only settings are DATABASE_URL, DATABASE_DIRECT_URL, DATA_DIR and NODE_ENV, from the environment and, in development,
.env.`;

/**
 * The developer's commands for the schema. TypeORM's own command line is not used: it needs a data source when its file
 * is imported, and ours is known only after the configuration has been read and the embedded server found or started.
 * It does not take the lock that keeps migrations apart either.
 */
export function migrationCommand(invocation: Invocation): Command {
  const { program, writeAnswer } = createCommand(IS_PUBLISHED ? 'migrate' : 'migration', invocation);
  program
    .description(`Changes the schema of the configured database${IS_PUBLISHED ? '' : ', and writes migrations'}.`)
    .addHelpText('after', CALLING_HELP + EXIT_CODES_HELP);

  program
    .command('run')
    .description('Apply every migration that is due. The service does so by itself when it starts.')
    .action(async () => {
      const { applyMigrations } = await import('./migration.tasks.js');
      await applyMigrations(invocation, writeAnswer);
    });

  program
    .command('revert')
    .description('Undo the latest applied migration. For development: the next start of a service applies it again.')
    .option('--yes', 'required in production, because it deletes what the migration created, with its data')
    .action(async ({ yes }: { yes?: true }) => {
      const { revertLatestMigration } = await import('./migration.tasks.js');
      await revertLatestMigration(invocation, writeAnswer, { mayDeleteProductionData: yes === true });
    });

  // It writes into the sources.
  if (!IS_PUBLISHED) {
    program
      .command('generate')
      .description('Apply all migrations, and write one that makes the database match the entities.')
      .argument('<name>', 'in lower-case-words, such as add-display-name', parseMigrationName)
      .action(async (name: string) => {
        const { generateMigration } = await import('./migration.tasks.js');
        await generateMigration(name, invocation, writeAnswer);
      });
  }

  return program;
}

function parseMigrationName(text: string): string {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(text)) {
    throw new InvalidArgumentError('It must be lower-case words joined by hyphens.');
  }
  return text;
}
