import { randomBytes } from 'node:crypto';
import { Client, Pool } from 'pg';
import { testRun } from './test-run.js';

export interface TestDatabase {
  readonly url: string;
  /** A statement outside the service, to arrange or to look. */
  sql<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The database stays behind for the secret scan; only the connections go. */
  close(): Promise<void>;
}

/** A database of one's own: migrated, or empty for tests of the migrations themselves. */
export async function createTestDatabase(content: 'migrated' | 'empty' = 'migrated'): Promise<TestDatabase> {
  const { serverUrl, template } = testRun();
  const name = `${template}_${randomBytes(6).toString('hex')}`;
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`create database ${name} template ${content === 'migrated' ? template : 'template0'}`);
  await client.end();

  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return connectTo(url.href);
}

/** A database that is there already. */
export function connectTo(url: string): TestDatabase {
  const pool = new Pool({ connectionString: url, max: 4, application_name: 'test' });
  pool.on('error', () => undefined);
  return {
    url,
    sql: async <Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> => {
      const { rows } = await pool.query<Row>(text, [...values]);
      return rows;
    },
    close: () => pool.end(),
  };
}
