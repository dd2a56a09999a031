import { randomBytes } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { CommandFailedError, InterruptedError } from './command.errors.js';
import { askHidden, type Terminal } from './terminal.js';

const GENERATED_MIN_BYTES = 24;

/** No password is longer; more input than this is something else that was piped in by mistake. */
const INPUT_LIMIT_BYTES = 16_384;

/**
 * Reads a new password: typed twice without echo on a terminal, otherwise the first line of standard input. Arguments
 * and environment are not accepted, because other users of the machine can read them and shells keep them in the
 * history.
 *
 * @throws CommandFailedError when there is none, the two differ, or it is not UTF-8
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

/** Generates at least 192 random bits, in characters that are safe to copy and paste. */
export function generatePassword(minLengthCodePoints: number): string {
  return randomBytes(Math.max(GENERATED_MIN_BYTES, Math.ceil((minLengthCodePoints * 3) / 4))).toString('base64url');
}

/** The newline is not part of the password. */
async function readFirstLine(input: Readable, interrupted: AbortSignal): Promise<string> {
  const [firstLine = ''] = decode(await readPastFirstLine(input, interrupted)).split(/\r?\n/, 1);
  if (firstLine === '') {
    throw new CommandFailedError(
      'There is no password on standard input. Pipe one in, run the command in a terminal, or use --generate.',
    );
  }
  return firstLine;
}

/** Reads up to the first newline, so that an input that stays open does not block it. */
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

/** Other encodings turn different characters into the same replacement character. */
function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CommandFailedError('The password on standard input is not UTF-8; nothing was done.');
  }
}
