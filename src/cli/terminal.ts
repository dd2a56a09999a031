import { createInterface } from 'node:readline/promises';
import { type Readable, Writable } from 'node:stream';
import { InterruptedError } from './command.errors.js';

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/** Questions go to standard error, so that standard output holds only the answer. */
export const processTerminal: Terminal = { input: process.stdin, output: process.stderr };

export function writeAnswer(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function writeNotice(text: string): void {
  process.stderr.write(`${text}\n`);
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
