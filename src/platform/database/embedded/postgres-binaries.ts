import { randomUUID } from 'node:crypto';
import { chmod, copyFile, lstat, mkdir, readFile, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { EmbeddedPostgresError, PostgresBinariesMissingError } from './embedded-postgres.errors.js';
import { runPostgresProcess } from './postgres-process.js';
import type { ServerUser } from './server-user.js';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

interface BinariesPackage {
  /** Holds `bin`, `lib` and `share`. */
  readonly nativeDir: string;
  /** Version and platform, fit for a folder name. */
  readonly label: string;
}

/**
 * Programs that the server's account can run: those of the npm package where they stand, otherwise a private copy. A
 * copy is needed when the package cannot be entered by that account, and when its symbolic links are missing (npm can be
 * told to skip install scripts, and one of those makes them) and cannot be made because the package is not ours.
 *
 * @throws PostgresBinariesMissingError when the package is not installed
 * @throws EmbeddedPostgresError when neither the package nor the copy can be run
 */
export async function providePostgresBinaries(
  dataDir: string,
  user: ServerUser | undefined,
): Promise<PostgresBinaries> {
  const { nativeDir, label } = await findBinariesPackage();
  await makeMissingLinks(nativeDir);
  if ((await whyNotRunnable(nativeDir, user)) === undefined) {
    return binariesIn(nativeDir);
  }

  // Root's own data directory may be as closed to the server's account as the checkout is.
  const copyDir = join(user === undefined ? dataDir : tmpdir(), `ratchet-postgresql-${label}`);
  await provideCopy(nativeDir, copyDir);
  const problem = await whyNotRunnable(copyDir, user);
  if (problem !== undefined) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL cannot be run from ${copyDir}: ${problem}. ` +
        `Set ${user === undefined ? 'DATA_DIR' : 'TMPDIR'} to a folder from which programs may be run, ` +
        'or DATABASE_URL to a PostgreSQL of your own.',
    );
  }
  return binariesIn(copyDir);
}

async function findBinariesPackage(): Promise<BinariesPackage> {
  const platform = `${process.platform}-${process.arch}`;
  const packageName = `@embedded-postgres/${platform}`;
  let exported: unknown;
  try {
    exported = await import(packageName);
  } catch (error) {
    throw new PostgresBinariesMissingError(packageName, error);
  }
  const postgres = stringMember(exported, 'postgres');
  if (postgres === undefined) {
    throw new PostgresBinariesMissingError(packageName, new Error('the package names no server program'));
  }
  const nativeDir = dirname(dirname(postgres));
  const manifest: unknown = JSON.parse(await readFile(join(nativeDir, '..', 'package.json'), 'utf8'));
  return { nativeDir, label: `${stringMember(manifest, 'version') ?? 'unversioned'}-${platform}` };
}

function binariesIn(nativeDir: string): PostgresBinaries {
  return { initdb: join(nativeDir, 'bin', 'initdb'), postgres: join(nativeDir, 'bin', 'postgres') };
}

/** Tries instead of judging permission bits: mount options, access lists and missing libraries all count. */
async function whyNotRunnable(nativeDir: string, user: ServerUser | undefined): Promise<string | undefined> {
  for (const program of Object.values(binariesIn(nativeDir)) as string[]) {
    try {
      const { exitCode, output } = await runPostgresProcess(program, ['--version'], { cwd: '/', user });
      if (exitCode !== 0) {
        return output.trim();
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  return undefined;
}

/** Makes the links that npm packages cannot carry, from the package's own list. Whether that sufficed shows at the run. */
async function makeMissingLinks(nativeDir: string): Promise<void> {
  const listing: unknown = JSON.parse(await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8').catch(() => '[]'));
  for (const link of Array.isArray(listing) ? (listing as unknown[]) : []) {
    const source = stringMember(link, 'source');
    const target = stringMember(link, 'target');
    if (source !== undefined && target !== undefined) {
      // The list names the folder `native`, as it is called in the package only.
      const path = join(nativeDir, relative('native', target));
      await symlink(relative(dirname(target), source), path).catch(() => undefined);
    }
  }
}

/** Leaves a complete copy at `copyDir` that nobody but us can have written. */
async function provideCopy(nativeDir: string, copyDir: string): Promise<void> {
  const wanted = await filesToCopy(nativeDir);
  if (await isOwnFolder(copyDir)) {
    // The systems that tidy their temporary folder do it file by file.
    const present = new Set(await readdir(copyDir, { recursive: true }));
    if (wanted.every((path) => present.has(path))) {
      return;
    }
    await rm(copyDir, { recursive: true, force: true });
  }

  const unfinishedDir = `${copyDir}.${randomUUID()}`;
  try {
    await copyReadableForAll(nativeDir, unfinishedDir);
    await makeMissingLinks(unfinishedDir);
    await rename(unfinishedDir, copyDir);
  } catch (error) {
    // Another start may have put its copy there first.
    if (!(await isOwnFolder(copyDir))) {
      throw error;
    }
  } finally {
    await rm(unfinishedDir, { recursive: true, force: true });
  }
}

/**
 * The temporary folder is everybody's: a folder of the expected name that another user has planted there, or can write
 * to, would have its programs run with the server's rights.
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

async function filesToCopy(nativeDir: string): Promise<string[]> {
  const entries = await readdir(nativeDir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory() && isNeededToRun(entry.name))
    .map((entry) => relative(nativeDir, join(entry.parentPath, entry.name)));
}

function isNeededToRun(path: string): boolean {
  const name = basename(path);
  return !name.endsWith('.a') && !name.endsWith('.pc');
}

async function copyReadableForAll(sourceDir: string, targetDir: string): Promise<void> {
  await mkdir(targetDir);
  // Neither the umask nor the modes of a package installed under a strict one may lock the server's account out.
  await chmod(targetDir, 0o755);
  for (const entry of await readdir(sourceDir, { withFileTypes: true })) {
    const source = join(sourceDir, entry.name);
    const target = join(targetDir, entry.name);
    if (entry.isDirectory()) {
      await copyReadableForAll(source, target);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else if (isNeededToRun(entry.name)) {
      await copyFile(source, target);
      const { mode } = await lstat(source);
      await chmod(target, (mode & 0o100) === 0 ? 0o644 : 0o755);
    }
  }
}

function stringMember(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const member: unknown = Reflect.get(value, name);
  return typeof member === 'string' ? member : undefined;
}
