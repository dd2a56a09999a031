import { runCommand } from './run-command.js';
import { usersCommand } from './users.command.js';

await runCommand(usersCommand);
