import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isFitSecret, SECRET_MIN_BYTES } from './auth-secret.policy.js';
import { ConfigurationError } from './config.errors.js';
import { errorCode, readTextFile, withoutTrailingNewline } from './text-file.js';

const FILE_NAME = 'auth-secret';

/**
 * The secret that an earlier start in this data directory generated.
 * @returns `undefined` when there is none yet
 * @throws ConfigurationError when the file is there but unusable; it is never replaced, since the sessions and signing
 * keys in the database depend on it
 */
export function findGeneratedSecret(dataDir: string): Buffer | undefined {
  const file = readTextFile(join(dataDir, FILE_NAME));
  if (file.kind === 'unreadable') {
    if (file.reason === 'ENOENT') {
      return undefined;
    }
    throw new ConfigurationError([`the file ${FILE_NAME} in DATA_DIR cannot be read (${file.reason})`]);
  }
  const text = withoutTrailingNewline(file.text);
  if (!isFitSecret(text)) {
    throw new ConfigurationError([
      `the file ${FILE_NAME} in DATA_DIR is damaged: it must be random text of at least ${SECRET_MIN_BYTES} bytes; ` +
        'restore it, or delete the whole of DATA_DIR to start anew',
    ]);
  }
  return Buffer.from(text, 'utf8');
}

/**
 * Generates the secret of a data directory, or adopts the one that another starter has made meanwhile: whoever starts
 * in this directory, at whatever moment, ends with the same secret.
 *
 * The file gets its name by `link`, which is atomic and refuses an existing name, when its content is already on disk;
 * so nobody ever reads half a secret, not even after a power failure.
 * @throws ConfigurationError when the directory or the file cannot be written
 */
export function createGeneratedSecret(dataDir: string): Buffer {
  const secret = randomBytes(SECRET_MIN_BYTES).toString('base64url');
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const draft = join(dataDir, `${FILE_NAME}.${randomBytes(8).toString('hex')}`);
    try {
      writeFileSync(draft, `${secret}\n`, { mode: 0o600, flag: 'wx', flush: true });
      linkSync(draft, join(dataDir, FILE_NAME));
      syncDirectory(dataDir);
    } finally {
      rmSync(draft, { force: true });
    }
    return Buffer.from(secret, 'utf8');
  } catch (error) {
    const winner = errorCode(error) === 'EEXIST' ? findGeneratedSecret(dataDir) : undefined;
    if (winner === undefined) {
      throw new ConfigurationError([
        `the file ${FILE_NAME} in DATA_DIR cannot be created (${errorCode(error)}); set AUTH_SECRET or mend DATA_DIR`,
      ]);
    }
    return winner;
  }
}

/** Makes the new name durable; without it a power failure could take the secret and leave the database. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
