import { randomBytes } from 'node:crypto';
import type { Client, ClientConfig } from 'pg';
import { areSettingsRefused, REQUIRED_SETTINGS, withSettings } from './connection-settings.js';
import { DatabaseUnusableError } from './database.errors.js';
import type { DatabaseAddress, SessionSupport } from './database.types.js';
import { withClient } from './with-client.js';

/**
 * Finds out whether connections are sessions: a transaction pooler refuses start-up options, or ignores them where it
 * is configured to. A second, direct address says that the first one is a pooler's.
 *
 * @throws DatabaseUnusableError when a setting that the service depends on is another one there: it cannot change that
 *   through the pooler
 */
export async function findSessionSupport({ url, directUrl }: DatabaseAddress): Promise<SessionSupport> {
  const isKeptDirectly = await keepsSessions(directUrl);
  const isKept = url === directUrl && isKeptDirectly;
  for (const each of new Set([...(isKept ? [] : [url]), ...(isKeptDirectly ? [] : [directUrl])])) {
    await requireSettings(each);
  }
  return { isKept, isKeptDirectly };
}

async function keepsSessions(url: string): Promise<boolean> {
  const mark = randomBytes(8).toString('hex');
  try {
    const [found] = await readSettings(withSettings(url, { 'ratchet.session': mark }), ['ratchet.session']);
    return found?.value === mark;
  } catch (error) {
    if (areSettingsRefused(error)) {
      return false;
    }
    throw error;
  }
}

async function requireSettings(url: string): Promise<void> {
  // What the pooled connections of the service get: nothing is set.
  const found = await readSettings(url, Object.keys(REQUIRED_SETTINGS), { connectionString: url });
  const wrong = found.filter(({ name, value }) => REQUIRED_SETTINGS[name]?.includes(value ?? '') === false);
  if (wrong.length > 0) {
    const cures = wrong.map(({ name }) => `"alter role … set ${name} = '${REQUIRED_SETTINGS[name]?.[0] ?? ''}'"`);
    throw new DatabaseUnusableError(
      'Through a transaction pooler the service cannot change settings of the database, and some of them would break it ' +
        `or lose what it has acknowledged. Run ${cures.join(', ')} for the role of DATABASE_URL.`,
    );
  }
}

interface Setting {
  readonly name: string;
  readonly value: string | null;
}

async function readSettings(url: string, names: readonly string[], more?: ClientConfig): Promise<readonly Setting[]> {
  const read = async (client: Client): Promise<readonly Setting[]> => {
    const { rows } = await client.query<Setting>(
      'select name, current_setting(name, true) as value from unnest($1::text[]) as name',
      [names],
    );
    return rows;
  };
  return withClient(url, read, more);
}
