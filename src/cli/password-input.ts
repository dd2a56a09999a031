import { randomBytes } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { CommandFailedError, InterruptedError } from './command.errors.js';
import { askHidden, type Terminal } from './terminal.js';

const GENERATED_MIN_BYTES = 24;

/** No password is longer; whoever pipes in more has piped in something else. */
const INPUT_LIMIT_BYTES = 16_384;

/**
 * A new password as the operator gives it: typed twice without being shown where there is a terminal, otherwise the
 * first line of standard input. There is no other way in: the argument list and the environment of a process can be
 * read by others, and a command's line stays in the shell's history.
 *
 * @throws CommandFailedError when none comes, the two differ, or it is not UTF-8
 */
export async function readNewPassword(terminal: Terminal, interrupted: AbortSignal): Promise<string> {
  if (terminal.input.isTTY !== true) {
    return readFirstLine(terminal.input, interrupted);
  }
  const password = await askHidden('New password: ', terminal, interrupted);
  if (password !== (await askHidden('The same again: ', terminal, interrupted))) {
    throw new CommandFailedError('The two passwords differ; nothing was done.');
  }
  return password;
}

/** At least 192 bits, in characters that survive being copied and pasted. */
export function generatePassword(minLengthCodePoints: number): string {
  return randomBytes(Math.max(GENERATED_MIN_BYTES, Math.ceil((minLengthCodePoints * 3) / 4))).toString('base64url');
}

/** The newline is no part of the password. */
async function readFirstLine(input: Readable, interrupted: AbortSignal): Promise<string> {
  const [firstLine = ''] = decode(await readPastFirstLine(input, interrupted)).split(/\r?\n/, 1);
  if (firstLine === '') {
    throw new CommandFailedError(
      'No password came on standard input. Pipe one in, or run the command in a terminal, or let it --generate one.',
    );
  }
  return firstLine;
}

/** Does not wait for the end of an input that is left open. */
async function readPastFirstLine(input: Readable, interrupted: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let lengthBytes = 0;
  try {
    for await (const chunk of addAbortSignal(interrupted, input) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      lengthBytes += chunk.length;
      if (chunk.includes('\n') || lengthBytes > INPUT_LIMIT_BYTES) {
        break;
      }
    }
  } catch (error) {
    throw interrupted.aborted ? new InterruptedError() : error;
  }
  if (lengthBytes > INPUT_LIMIT_BYTES) {
    throw new CommandFailedError('Standard input holds more than a password; nothing was done.');
  }
  return Buffer.concat(chunks);
}

/** Other encodings would be hashed as replacement characters, all of them the same. */
function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CommandFailedError('The password on standard input is not UTF-8; nothing was done.');
  }
}
