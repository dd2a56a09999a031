import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EmbeddedPostgresError, readIfExists } from './errors.js';
import { runProgram, type ServerUser } from './programs.js';

/** The passwords of the superuser and of the role that owns the database. */
export interface Passwords {
  readonly postgres: string;
  readonly ratchet: string;
}

const UNFINISHED_SUFFIX = '.unfinished-';

/** The files of one embedded PostgreSQL, all in one folder. */
export class Cluster {
  /** PostgreSQL's own data directory. */
  readonly pgdata: string;
  readonly logFile: string;
  /** Holds the port of the last start. */
  readonly portFile: string;
  /** Names the last owner, as `process 4711`. A cluster of version 0.1 has no such file. */
  readonly ownerFile: string;
  /** Mode 0600. A cluster of version 0.1 has one password for both roles, in a file of another name. */
  private readonly passwordsFile: string;

  /** @param programs finds the folder of `initdb` and `postgres` */
  constructor(
    readonly folder: string,
    readonly programs: () => Promise<string>,
    readonly user: ServerUser,
  ) {
    this.pgdata = join(folder, 'data');
    this.logFile = join(folder, 'server.log');
    this.portFile = join(folder, 'port');
    this.ownerFile = join(folder, 'owner');
    this.passwordsFile = join(folder, 'passwords.json');
  }

  /**
   * The arguments that name PostgreSQL's data directory, which is also its working directory. Another account may be
   * unable to enter it by path (a checkout below a 0700 folder), but it can stay where root has started it.
   */
  get pgdataArgument(): string {
    return this.user === undefined ? this.pgdata : '/proc/self/cwd';
  }

  async exists(): Promise<boolean> {
    return (await readIfExists(join(this.pgdata, 'PG_VERSION'))) !== undefined;
  }

  /**
   * Creates the cluster with its roles, database and passwords as a whole or not at all: in a folder beside its place,
   * which is then renamed. One of several concurrent first starts wins, and the others use its cluster.
   *
   * @param isFlushed false for data that is not worth a flush to the disk, which takes half of the time
   */
  async create(isFlushed: boolean): Promise<void> {
    const aside = await mkdtemp(`${this.folder}${UNFINISHED_SUFFIX}`);
    try {
      await new Cluster(aside, this.programs, this.user).initialise(isFlushed);
      await rename(aside, this.folder);
      await flushFolder(dirname(this.folder));
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      if (!(await this.exists())) {
        throw error;
      }
    }
  }

  private async initialise(isFlushed: boolean): Promise<void> {
    await mkdir(this.pgdata, { mode: 0o700 });
    if (this.user !== undefined) {
      await chown(this.pgdata, this.user.uid, this.user.gid);
    }
    await this.run('initdb', [
      `--pgdata=${this.pgdataArgument}`,
      '--username=postgres',
      // No role can log in before the passwords are set: there is no local socket, and SCRAM needs a password.
      '--auth-local=reject',
      '--auth-host=scram-sha-256',
      '--encoding=UTF8',
      // The builtin provider is the same everywhere: it uses none of the operating system's locales.
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--locale=C',
      ...(isFlushed ? [] : ['--no-sync']),
    ]);
    await this.renewPasswords(['create role ratchet login createdb', 'create database ratchet owner ratchet']);
  }

  /** @returns nothing for a cluster of version 0.1 */
  async passwords(): Promise<Passwords | undefined> {
    const file = await readIfExists(this.passwordsFile);
    return file === undefined ? undefined : (JSON.parse(file) as Passwords);
  }

  /**
   * Gives each role a password of its own, after `statements`, in PostgreSQL's single-user mode: that needs no running
   * server, no port and no password.
   */
  async renewPasswords(statements: readonly string[] = []): Promise<void> {
    const passwords: Passwords = { postgres: newPassword(), ratchet: newPassword() };
    const changes = Object.entries(passwords).map(([role, password]) => `alter role ${role} password '${password}'`);
    const said = await this.run(
      'postgres',
      // An error must not repeat its statement, which holds a password.
      ['--single', '-D', this.pgdataArgument, '-c', 'log_min_error_statement=panic', 'postgres'],
      [...statements, ...changes, ''].join('\n'),
    );
    // A failed statement does not end this mode.
    if (said.includes('ERROR:')) {
      throw new EmbeddedPostgresError(`The roles of the embedded PostgreSQL could not be set up. It said:\n${said}`);
    }
    const unfinished = `${this.passwordsFile}${UNFINISHED_SUFFIX}`;
    await writeFile(unfinished, `${JSON.stringify(passwords)}\n`, { mode: 0o600, flush: true });
    await rename(unfinished, this.passwordsFile);
    await rm(join(this.folder, 'password'), { force: true });
  }

  /**
   * Removes what killed first starts have left. Call as the owner of a running server: no first start needs them then.
   */
  async removeUnfinished(): Promise<void> {
    for (const name of await readdir(dirname(this.folder))) {
      if (name.startsWith(`${basename(this.folder)}${UNFINISHED_SUFFIX}`)) {
        // An initdb that outlived its start may still write there; the next start then removes the rest.
        const leftover = join(dirname(this.folder), name);
        await rm(leftover, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
      }
    }
  }

  private async run(program: string, args: readonly string[], input?: string): Promise<string> {
    return runProgram(join(await this.programs(), program), args, { cwd: this.pgdata, user: this.user, input });
  }
}

function newPassword(): string {
  return randomBytes(32).toString('base64url');
}

/** Without it a power failure could undo a rename, and with it everything committed since. */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync();
  await folder.close();
}
