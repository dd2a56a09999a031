import { randomBytes } from 'node:crypto';
import { access, chown, mkdir, mkdtemp, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import type { PostgresBinaries } from './postgres-binaries.js';
import { runPostgresProcess } from './postgres-process.js';
import { dataDirectoryArgument, type ServerUser } from './server-user.js';

/** Where everything of one embedded PostgreSQL lies. */
export interface ClusterPaths {
  readonly dataDir: string;
  /** What PostgreSQL calls its data directory. */
  readonly clusterDir: string;
  /** The password of both roles; mode 0600. */
  readonly passwordFile: string;
  /** The port of the last start. */
  readonly portFile: string;
  readonly logFile: string;
}

const folderName = 'postgres';
const unfinishedPrefix = 'postgres.unfinished-';

export function clusterPaths(dataDir: string): ClusterPaths {
  return { dataDir, ...pathsIn(join(dataDir, folderName)) };
}

function pathsIn(folder: string): Omit<ClusterPaths, 'dataDir'> {
  return {
    clusterDir: join(folder, 'data'),
    passwordFile: join(folder, 'password'),
    portFile: join(folder, 'port'),
    logFile: join(folder, 'server.log'),
  };
}

export async function clusterExists(paths: ClusterPaths): Promise<boolean> {
  return access(paths.clusterDir).then(
    () => true,
    // A folder we may not look into exists too: what follows then says so.
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  );
}

export async function readPassword(paths: ClusterPaths): Promise<string> {
  return (await readFile(paths.passwordFile, 'utf8')).trim();
}

/**
 * Makes the cluster and its password appear together and complete, or not at all: they are made aside and renamed into
 * place. Of several at the same time one wins and the others use its cluster.
 *
 * @throws EmbeddedPostgresError when initdb fails
 */
export async function createCluster(
  paths: ClusterPaths,
  binaries: PostgresBinaries,
  user: ServerUser | undefined,
): Promise<void> {
  const unfinishedDir = await mkdtemp(join(paths.dataDir, unfinishedPrefix));
  try {
    await initialise(pathsIn(unfinishedDir), binaries, user);
    await rename(unfinishedDir, join(paths.dataDir, folderName));
    await syncFolder(paths.dataDir);
  } catch (error) {
    await rm(unfinishedDir, { recursive: true, force: true });
    if (!(await clusterExists(paths))) {
      throw error;
    }
  }
}

/** What killed first starts have left. Only for the owner of a running server: nobody can still want them then. */
export async function removeUnfinishedClusters(paths: ClusterPaths): Promise<void> {
  for (const name of await readdir(paths.dataDir)) {
    if (name.startsWith(unfinishedPrefix)) {
      // An initdb that has outlived its start may still be writing there; then the next start finds the rest.
      await rm(join(paths.dataDir, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    }
  }
}

async function initialise(
  { clusterDir, passwordFile }: Omit<ClusterPaths, 'dataDir'>,
  binaries: PostgresBinaries,
  user: ServerUser | undefined,
): Promise<void> {
  await mkdir(clusterDir, { mode: 0o700 });
  const password = await open(passwordFile, 'wx', 0o600);
  try {
    await password.writeFile(`${randomBytes(32).toString('base64url')}\n`);
    await password.sync();
  } finally {
    await password.close();
  }
  if (user !== undefined) {
    await chown(clusterDir, user.uid, user.gid);
    // initdb opens its standard input anew by name, for which the file must be its own; it could not walk to it.
    await chown(passwordFile, user.uid, user.gid);
  }

  const passwordInput = await open(passwordFile, 'r');
  try {
    const { exitCode, output } = await runPostgresProcess(
      binaries.initdb,
      [
        `--pgdata=${dataDirectoryArgument(clusterDir, user)}`,
        '--username=postgres',
        '--pwfile=/dev/stdin',
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        // The same everywhere: the builtin provider asks nothing of the operating system's locales.
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
        '--no-instructions',
      ],
      { cwd: clusterDir, user, stdin: passwordInput.fd },
    );
    if (exitCode !== 0) {
      throw new EmbeddedPostgresError(
        `The embedded PostgreSQL could not be prepared in ${clusterDir}. initdb said:\n${output.trim()}`,
      );
    }
  } finally {
    await passwordInput.close();
  }
  if (user !== undefined) {
    await chown(passwordFile, 0, 0);
  }
}

/** Without it a power failure could undo the rename, and with it everything committed since. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
