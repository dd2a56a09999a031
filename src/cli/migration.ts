import { migrationCommand } from './migration.command.js';
import { runCommand } from './run-command.js';

await runCommand(migrationCommand);
