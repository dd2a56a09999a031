import { randomBytes } from 'node:crypto';
import { type ClientConfig, DatabaseError } from 'pg';
import { DatabaseUnusableError } from './database.errors.js';
import type { DatabaseAddress, SessionSupport } from './database.types.js';
import { withClient } from './with-client.js';

/** Protocol violation, and feature not supported: a pooler's answers to a start-up parameter that it cannot keep. */
const REFUSED_PARAMETER_SQLSTATES: readonly (string | undefined)[] = ['08P01', '0A000'];

/**
 * Finds out whether connections are sessions: a transaction pooler refuses start-up options, or ignores them where it
 * is configured to. A second, direct address says that the first one is a pooler's.
 *
 * @throws DatabaseUnusableError when commits through the pooler would be acknowledged before they are on disk: the
 *   service cannot change that through the pooler
 */
export async function findSessionSupport({ url, directUrl }: DatabaseAddress): Promise<SessionSupport> {
  const isKeptDirectly = await keepsSessions(directUrl);
  const isKept = url === directUrl && isKeptDirectly;
  if (!isKept) {
    await requireDurableCommits(url);
  }
  return { isKept, isKeptDirectly };
}

async function keepsSessions(url: string): Promise<boolean> {
  const mark = randomBytes(8).toString('hex');
  try {
    const found = await readSetting(
      { connectionString: url, options: `-c ratchet.session=${mark}` },
      'ratchet.session',
    );
    return found === mark;
  } catch (error) {
    if (error instanceof DatabaseError && REFUSED_PARAMETER_SQLSTATES.includes(error.code)) {
      return false;
    }
    throw error;
  }
}

async function requireDurableCommits(url: string): Promise<void> {
  if ((await readSetting({ connectionString: url }, 'synchronous_commit')) === 'off') {
    throw new DatabaseUnusableError(
      'The database commits before it has written to disk (synchronous_commit is off), and through a transaction pooler ' +
        'the service cannot change that. Run "alter role … set synchronous_commit = on" for the role of DATABASE_URL.',
    );
  }
}

async function readSetting(config: ClientConfig, name: string): Promise<string | null | undefined> {
  return withClient(config, async (client) => {
    const { rows } = await client.query<{ value: string | null }>('select current_setting($1, true) as value', [name]);
    return rows[0]?.value;
  });
}
