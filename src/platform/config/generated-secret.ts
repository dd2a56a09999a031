import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expectedSecret, isFitSecret, SECRET_MIN_BYTES } from './auth-secret.policy.js';
import { ConfigurationError } from './config.errors.js';
import { errorCode, readTextFile, withoutTrailingNewline } from './text-file.js';

const FILE_NAME = 'auth-secret';

/**
 * Reads the secret that an earlier start in this data directory generated.
 * @returns `undefined` when there is none yet
 * @throws ConfigurationError when the file exists but is unusable; it is never replaced, because the sessions and
 * signing keys in the database depend on it
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
      `the file ${FILE_NAME} in DATA_DIR is damaged: it must be ${expectedSecret}; ` +
        'restore it, or delete all of DATA_DIR to start afresh',
    ]);
  }
  return Buffer.from(text, 'utf8');
}

/**
 * Generates the secret of a data directory, or adopts the one that another process has just generated: all processes
 * that start in this directory at the same time get the same secret.
 *
 * The file gets its name by `link` once its content is on disk. `link` is atomic and refuses an existing name, so no
 * process ever reads half a secret, not even after a power failure.
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
        `the file ${FILE_NAME} in DATA_DIR cannot be created (${errorCode(error)}); set AUTH_SECRET or fix DATA_DIR`,
      ]);
    }
    return winner;
  }
}

/** Makes the new name durable; otherwise a power failure could lose the secret and keep the database. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
