import { interruption } from '../platform/common/interruption.js';
import { migrationCommand } from './migration.command.js';
import { runProgram } from './run-command.js';

await runProgram(migrationCommand, interruption);
