import { Readable, Writable } from 'node:stream';
import type { Command } from 'commander';
import { runCommand } from '../../src/cli/run-command.js';
import type { Invocation } from '../../src/cli/terminal.js';
import type { CommandOptions, CommandResult } from './run-command.js';

/** Runs a command line in this process, with the modules that the suite has loaded. Nothing interrupts it. */
export async function runInProcess(
  build: (invocation: Invocation) => Command,
  args: readonly string[],
  {
    environment = {},
    workingDirectory,
    input = '',
    terminalColumns,
  }: Omit<CommandOptions, 'keepsInputOpen'> & {
    /** Standard output is a terminal of that width. */
    readonly terminalColumns?: number;
  },
): Promise<CommandResult> {
  const stdout = new TextSink();
  const stderr = new TextSink();
  const exitCode = await runCommand(build, {
    args,
    environment,
    workingDirectory,
    input: Readable.from([Buffer.from(input)]),
    answers: Object.assign(stdout.stream, terminalColumns === undefined ? {} : { columns: terminalColumns }),
    output: stderr.stream,
    interrupted: new AbortController().signal,
  });
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

class TextSink {
  text = '';
  readonly stream = new Writable({
    write: (chunk: Buffer, _encoding, done): void => {
      this.text += chunk.toString();
      done();
    },
  });
}
