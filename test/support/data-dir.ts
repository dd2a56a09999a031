import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { testRun } from './test-run.js';

/**
 * Makes a data directory of the embedded PostgreSQL as after a first start, with a migrated database: for tests that are
 * not about the first start, which takes a second of CPU time.
 */
export async function copyDataDir(dataDir: string): Promise<void> {
  await mkdir(dirname(dataDir), { recursive: true });
  // Node's own `cp` gives the files to root.
  await promisify(execFile)('cp', ['-a', testRun().initialisedDataDir, dataDir]);
}
