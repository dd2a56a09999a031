import { writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { type DestinationStream, stdTimeFunctions } from 'pino';

/** What may wait for the reader of the log; a burst of some seconds. */
const LONGEST_BACKLOG_BYTES = 1024 * 1024;

/** How long the end of the process waits for a reader. */
const LONGEST_FLUSH_MS = 1_000;

const STDERR_FD = 2;
const RETRY_MS = 10;

/**
 * Takes the lines of the log and never waits for their reader, so that a log collector that hangs stops nothing. While
 * more than the backlog waits, lines are dropped and counted; the count is a line of its own once the reader goes on.
 * A reader that has gone ends the log, not the process. Where the reader keeps up, a line is with the operating system
 * when `write` returns.
 */
export class StandardOutput implements DestinationStream {
  private droppedLines = 0;

  constructor(private readonly stream: Writable = process.stdout) {
    stream.on('error', () => undefined);
    stream.on('drain', () => {
      this.reportDropped();
    });
  }

  write(line: string): void {
    if (this.stream.writableLength > LONGEST_BACKLOG_BYTES) {
      this.droppedLines += 1;
      return;
    }
    this.reportDropped();
    this.stream.write(line);
  }

  /** Calls `done` when everything has been written, without an error, or can no longer be. */
  flush(done: (error?: Error) => void): void {
    const giveUp = setTimeout(done, LONGEST_FLUSH_MS, new Error('the log has no reader'));
    this.stream.write('', () => {
      clearTimeout(giveUp);
      done();
    });
  }

  private reportDropped(): void {
    if (this.droppedLines > 0) {
      const lines = this.droppedLines;
      this.droppedLines = 0;
      const message = 'lines of the log were dropped, because nothing read them';
      this.stream.write(
        `{"level":"warn"${stdTimeFunctions.isoTime()},"event":"log_lines_dropped","lines":${lines},"msg":"${message}"}\n`,
      );
    }
  }
}

/** Writes to standard error before it returns, so that the process can end; gives up on a reader that has stopped. */
export function writeLastWords(text: string): void {
  // Opening the stream makes a pipe refuse what it has no room for, instead of blocking.
  process.stderr.on('error', () => undefined);
  const bytes = Buffer.from(text);
  const giveUpAtMs = performance.now() + LONGEST_FLUSH_MS;
  for (let offset = 0; offset < bytes.length && performance.now() < giveUpAtMs;) {
    try {
      offset += writeSync(STDERR_FD, bytes, offset);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) {
        return;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
