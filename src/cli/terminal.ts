import { createInterface } from 'node:readline/promises';
import { type Readable, Writable } from 'node:stream';
import { InterruptedError } from './command.errors.js';

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/** One call of a command. `output` is standard error, which takes questions, notices and failures. */
export interface Invocation extends Terminal {
  readonly args: readonly string[];
  /** The process's own by default. */
  readonly environment?: NodeJS.ProcessEnv;
  /** The process's own by default. */
  readonly workingDirectory?: string;
  /** Standard output, which takes only the answer. `columns` is its width where it is a terminal. */
  readonly answers: Writable & { readonly columns?: number };
  /** Aborted to interrupt the command. Waiting then stops, and what has been started is finished and closed. */
  readonly interrupted: AbortSignal;
}

export function processInvocation(interrupted: AbortSignal): Invocation {
  return {
    args: process.argv.slice(2),
    input: process.stdin,
    output: process.stderr,
    answers: process.stdout,
    interrupted,
  };
}

export function writeNotice({ output }: Invocation, text: string): void {
  output.write(`${text}\n`);
}

export function noticesTo(invocation: Invocation): (text: string) => void {
  return (text) => {
    writeNotice(invocation, text);
  };
}

/** Asks with echo. */
export function ask(question: string, terminal: Terminal, interrupted: AbortSignal): Promise<string> {
  return readLine(question, terminal, terminal.output, interrupted);
}

/** Asks without echo and without history. */
export async function askHidden(question: string, terminal: Terminal, interrupted: AbortSignal): Promise<string> {
  const nowhere = new Writable({
    write(_chunk, _encoding, done): void {
      done();
    },
  });
  terminal.output.write(question);
  try {
    return await readLine('', terminal, nowhere, interrupted);
  } finally {
    // The typed newline was not echoed either.
    terminal.output.write('\n');
  }
}

/** @throws InterruptedError on Ctrl-C, Ctrl-D and a signal */
async function readLine(
  question: string,
  { input }: Terminal,
  echo: Writable,
  interrupted: AbortSignal,
): Promise<string> {
  const reader = createInterface({ input, output: echo, terminal: true, historySize: 0 });
  const ended = new AbortController();
  // In raw mode Ctrl-C arrives as a key, not as a signal.
  for (const event of ['SIGINT', 'close'] as const) {
    reader.once(event, () => {
      ended.abort();
    });
  }
  try {
    return await reader.question(question, { signal: AbortSignal.any([ended.signal, interrupted]) });
  } catch (error) {
    if (ended.signal.aborted || interrupted.aborted) {
      throw new InterruptedError();
    }
    throw error;
  } finally {
    reader.close();
  }
}
