import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { escapeLiteral, Pool } from 'pg';
import { newPassword } from './test-client.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { testRun } from './test-run.js';

const FOLDER = new URL('../../postgres/', import.meta.url);
const ROLE_NAMES = /\bratchet_(migrator|service|operator)\b/g;

export interface DatabaseRole {
  readonly name: string;
  /** The database's URL for this role. */
  readonly url: string;
  /** Runs as this role. */
  sql<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A database whose roles are those of `postgres/roles.sql`, under names of its own: a server's roles are shared. */
export interface DatabaseWithRoles extends Pick<TestDatabase, 'sql'> {
  readonly migrator: DatabaseRole;
  readonly service: DatabaseRole;
  readonly operator: DatabaseRole;
  /** The names that are this database's own, made the usual ones in a text. */
  withUsualNames(text: string): string;
  /** Runs `roles.sql` as the administrator. */
  applyRoles(): Promise<void>;
  /** Runs `grants.sql` as the migrator. */
  applyGrants(): Promise<void>;
  /** Drops the roles; what they owned is left to the secret scan. */
  close(): Promise<void>;
}

/** Makes the roles and gives them passwords; `sql` of the database is the administrator's. */
export async function createDatabaseWithRoles(content: 'migrated' | 'empty'): Promise<DatabaseWithRoles> {
  const suffix = `_${randomBytes(6).toString('hex')}`;
  const database = await createTestDatabase(content);
  await database.close();
  const admin = connect(withUser(database.url, new URL(testRun().adminUrl)));

  const runFile = async (file: string, as: Pick<DatabaseRole, 'sql'>): Promise<void> => {
    const text = await readFile(new URL(file, FOLDER), 'utf8');
    await as.sql(text.replace(ROLE_NAMES, (name) => name + suffix));
  };
  const applyRoles = (): Promise<void> => runFile('roles.sql', admin);
  await applyRoles();

  const withPassword = async (usualName: string): Promise<ConnectedRole> => {
    const [username, password] = [usualName + suffix, newPassword()];
    await admin.sql(`alter role ${username} password ${escapeLiteral(password)}`);
    return { name: username, ...connect(withUser(database.url, { username, password })) };
  };
  const migrator = await withPassword('ratchet_migrator');
  const service = await withPassword('ratchet_service');
  const operator = await withPassword('ratchet_operator');
  const roles = [migrator, service, operator];

  return {
    sql: (text, values) => admin.sql(text, values),
    migrator,
    service,
    operator,
    withUsualNames: (text) => text.replaceAll(suffix, ''),
    applyRoles,
    applyGrants: () => runFile('grants.sql', migrator),
    close: async () => {
      await Promise.all(roles.map((role) => role.end()));
      const names = roles.map(({ name }) => name).join(', ');
      // To the owner of the database, which the scan connects as.
      await admin.sql(
        `reassign owned by ${names} to "${decodeURIComponent(new URL(testRun().serverUrl).username)}";
         drop owned by ${names};
         drop role ${names}`,
      );
      await admin.end();
    },
  };
}

interface Connected {
  readonly url: string;
  readonly sql: DatabaseWithRoles['sql'];
  end(): Promise<void>;
}

type ConnectedRole = DatabaseRole & Connected;

function connect(url: string): Connected {
  const pool = new Pool({ connectionString: url, max: 2, application_name: 'test' });
  pool.on('error', () => undefined);
  return {
    url,
    sql: async <Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
      const { rows } = await pool.query<Row>(text, values === undefined ? undefined : [...values]);
      return rows;
    },
    end: () => pool.end(),
  };
}

function withUser(databaseUrl: string, { username, password }: Pick<URL, 'username' | 'password'>): string {
  const url = new URL(databaseUrl);
  url.username = username;
  url.password = password;
  return url.href;
}
