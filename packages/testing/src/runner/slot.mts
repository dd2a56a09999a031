import { lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataDirectoryInUseError, type EmbeddedPostgres, startEmbeddedPostgres } from '@ratchet/embedded-postgres';

/** So many runners of one user run beside each other on one machine. */
const MOST_SLOTS = 32;

/** Nothing of a test is worth a flush to the disk. */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  // 64 namespaces of five connections, and some to spare.
  max_connections: '400',
};

export interface OwnServer {
  readonly postgres: EmbeddedPostgres;
  /** Stops the server, and leaves its files to the next runner. */
  release(): Promise<void>;
}

/**
 * Starts the embedded PostgreSQL of the first data directory that no other runner uses. Its files stay from one run to the
 * next, so that only the first start prepares them. What a killed runner has left is taken over.
 *
 * @param version of this package: another one may have another schema
 */
export async function startInFreeSlot(version: string, report: (line: string) => void): Promise<OwnServer> {
  const home = join(tmpdir(), `ratchet-testing-${process.geteuid?.() ?? 0}-${version}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // The folder for temporary files is everyone's, and programs are run from here.
  const found = await lstat(home);
  if (!found.isDirectory() || found.uid !== (process.geteuid?.() ?? found.uid) || (found.mode & 0o022) !== 0) {
    throw new Error(`${home} was not made by this user; remove it, or name another folder by TMPDIR.`);
  }
  for (let number = 0; number < MOST_SLOTS; number += 1) {
    const slot = join(home, String(number));
    await mkdir(slot, { recursive: true, mode: 0o700 });
    const claim = join(slot, 'runner');
    if (!(await tryToClaim(claim))) {
      continue;
    }
    try {
      const options = { dataDirectory: slot, serverSettings: SETTINGS, onProgress: report };
      const postgres = await startEmbeddedPostgres(options);
      return {
        postgres,
        release: async () => {
          await postgres.stop();
          await rm(claim, { force: true });
        },
      };
    } catch (error) {
      await rm(claim, { force: true });
      if (!(error instanceof DataDirectoryInUseError)) {
        throw error;
      }
    }
  }
  throw new Error(`${MOST_SLOTS} runners of this user run already (${home}).`);
}

/** Saves the wait for a server that another runner uses. That the server has one owner is PostgreSQL's to decide. */
async function tryToClaim(claim: string): Promise<boolean> {
  for (const isSecondTry of [false, true]) {
    try {
      await writeFile(claim, String(process.pid), { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
        throw error;
      }
    }
    if (isSecondTry || isAlive(Number(await readFile(claim, 'utf8').catch(() => '0')))) {
      return false;
    }
    await rm(claim, { force: true });
  }
  return false;
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) {
    return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
