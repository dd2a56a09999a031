import { keysCommand } from './keys.command.js';
import { runProgram } from './run-command.js';

await runProgram(keysCommand);
