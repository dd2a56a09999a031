import { readFile } from 'node:fs/promises';

/** The embedded PostgreSQL cannot be started or stopped. The message is for the person at the terminal. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

/** Another process owns the server of the data directory. */
export class DataDirectoryInUseError extends EmbeddedPostgresError {}

/** @returns the code of a failed system call, such as `ENOENT` */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export async function readIfExists(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
