import { runProgram } from './run-command.js';
import { usersCommand } from './users.command.js';

await runProgram(usersCommand);
