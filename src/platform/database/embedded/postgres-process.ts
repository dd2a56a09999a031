import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import type { ServerUser } from './server-user.js';

export interface PostgresProcessOptions {
  readonly cwd: string;
  readonly user: ServerUser | undefined;
  readonly stdio: StdioOptions;
}

/**
 * Starts one of the PostgreSQL programs away from our terminal and environment: Ctrl-C must reach the service alone,
 * which drains before it stops the database, and a `PGDATA` or `PGPORT` of the person's own must not redirect it.
 *
 * @throws EmbeddedPostgresError when the program cannot be started at all
 */
export async function spawnPostgresProcess(
  program: string,
  args: readonly string[],
  options: PostgresProcessOptions,
): Promise<ChildProcess> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    stdio: options.stdio,
    detached: true,
    // A fixed zone spares initdb the search for the system's; macOS aborts the server when no locale is set.
    env: { LC_ALL: 'C', TZ: 'UTC' },
    ...options.user,
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => {
      reject(new EmbeddedPostgresError(`${program} could not be started: ${cause.message}`, { cause }));
    });
  });
  return child;
}

export interface PostgresProcessResult {
  readonly exitCode: number | null;
  readonly output: string;
}

/** Runs one of the PostgreSQL programs to its end and collects what it says. `stdin` is an open file, if any. */
export async function runPostgresProcess(
  program: string,
  args: readonly string[],
  options: Omit<PostgresProcessOptions, 'stdio'> & { readonly stdin?: number },
): Promise<PostgresProcessResult> {
  const child = await spawnPostgresProcess(program, args, {
    ...options,
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { exitCode, output };
}
