import { keysCommand } from './keys.command.js';
import { runCommand } from './run-command.js';

await runCommand(keysCommand);
