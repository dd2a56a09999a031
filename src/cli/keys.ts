import { interruption } from '../platform/common/interruption.js';
import { keysCommand } from './keys.command.js';
import { runProgram } from './run-command.js';

await runProgram(keysCommand, interruption);
