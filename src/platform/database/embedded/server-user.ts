import { stat } from 'node:fs/promises';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';

/** The account PostgreSQL runs as when it cannot be ours. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

// "nobody" on every Linux distribution the binaries run on; initdb insists on a uid that has a name.
const nobody: ServerUser = { uid: 65_534, gid: 65_534 };

/**
 * PostgreSQL refuses to run as root: then it runs as whoever owns the cluster already (someone may have started it
 * without root before), and as nobody for a new one.
 *
 * @returns `undefined` when it runs as ourselves
 * @throws EmbeddedPostgresError as root on a system other than Linux
 */
export async function chooseServerUser(clusterDir: string): Promise<ServerUser | undefined> {
  if (process.geteuid?.() !== 0) {
    return undefined;
  }
  if (process.platform !== 'linux') {
    throw new EmbeddedPostgresError(
      'PostgreSQL does not run as root. Start as a normal user, or set DATABASE_URL to a PostgreSQL of your own.',
    );
  }
  const owner = await stat(clusterDir).catch(() => undefined);
  return owner === undefined || owner.uid === 0 ? nobody : { uid: owner.uid, gid: owner.gid };
}

/**
 * How PostgreSQL is told its data directory, which is also its working directory. A server with an account of its own
 * may not be able to walk there (a checkout below a 0700 folder), but it can stay where root has put it.
 */
export function dataDirectoryArgument(clusterDir: string, user: ServerUser | undefined): string {
  return user === undefined ? clusterDir : '/proc/self/cwd';
}
