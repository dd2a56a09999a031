import { interruption } from '../platform/common/interruption.js';
import { runProgram } from './run-command.js';
import { usersCommand } from './users.command.js';

await runProgram(usersCommand, interruption);
