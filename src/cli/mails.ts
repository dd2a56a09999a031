import { interruption } from '../platform/common/interruption.js';
import { mailsCommand } from './mails.command.js';
import { runProgram } from './run-command.js';

await runProgram(mailsCommand, interruption);
