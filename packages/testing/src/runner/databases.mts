import { createHash, randomBytes } from 'node:crypto';
import { connectClient, migrateDatabase, MIGRATIONS } from '@ratchet/server/internal';

/** Every database that the kit makes has such a name, and no other is ever touched. */
const PREFIX = 'ratchet_test_';
const TEMPLATE_PREFIX = `${PREFIX}template_`;

/** The comment on each of them, with the instant at which it was made behind it. */
const MARK = 'made by @ratchet/testing at ';

/** On a server of several runners, an unused database may be one that another runner has just made. */
const ABANDONED_AFTER_MS = 3_600_000;

/**
 * A clock that can be set, in front of PostgreSQL's own in the search path. It is there before the migrations, because a
 * default keeps the function that it was declared with.
 */
const CLOCK = `
  create schema ratchet_test;
  create table ratchet_test.clock (ahead interval not null, frozen_at timestamptz);
  insert into ratchet_test.clock values ('0', null);
  create function ratchet_test.clock_timestamp() returns timestamptz language sql volatile
    return (select coalesce(frozen_at, pg_catalog.clock_timestamp() + ahead) from ratchet_test.clock);
  create function ratchet_test.now() returns timestamptz language sql stable
    return (select coalesce(frozen_at, pg_catalog.now() + ahead) from ratchet_test.clock)`;

const SEARCH_PATH = 'public, ratchet_test, pg_catalog';

/** SQLSTATE of a database whose name is taken. */
const DUPLICATE_DATABASE = '42P04';

export interface DatabaseServer {
  /** A database of it, by a role that may create others. */
  readonly url: string;
  /** Whether no other runner uses it. */
  readonly isOwn: boolean;
}

interface MarkedDatabase {
  readonly name: string;
  readonly comment: string;
}

/** Makes and drops the databases of the namespaces, each a copy of one migrated template. */
export class Databases {
  private readonly template: string;

  private constructor(private readonly server: DatabaseServer) {
    // The text of the migrations is part of the name: a template of another build is another one.
    const content = [CLOCK, SEARCH_PATH, ...MIGRATIONS.map(String)].join('\n');
    this.template = `${TEMPLATE_PREFIX}${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
  }

  /** Resolves when databases can be made; what an earlier run has left is dropped. */
  static async open(server: DatabaseServer): Promise<Databases> {
    const databases = new Databases(server);
    await databases.dropAbandoned();
    await databases.provideTemplate();
    return databases;
  }

  /** @returns the URL of a new database with the schema of the service and no rows */
  async create(): Promise<string> {
    const name = `${PREFIX}${randomBytes(8).toString('hex')}`;
    await this.makeMarked(name, `template ${this.template} strategy file_copy`);
    return this.urlOf(name);
  }

  /** @param url of a database that `create` has made */
  async drop(url: string): Promise<void> {
    const name = decodeURIComponent(new URL(url).pathname.slice(1));
    await this.run((query) => query(`drop database if exists ${name} with (force)`));
  }

  private async provideTemplate(): Promise<void> {
    const marked = await this.listMarked();
    if (marked.some(({ name }) => name === this.template)) {
      return;
    }
    const unfinished = `${PREFIX}${randomBytes(8).toString('hex')}`;
    await this.makeMarked(unfinished, 'template template0');
    const url = this.urlOf(unfinished);
    const client = await connectClient(url, 'migrations');
    await client.query(CLOCK).finally(() => client.end());
    await migrateDatabase(url);
    try {
      await this.run((query) => query(`alter database ${unfinished} rename to ${this.template}`));
    } catch (error) {
      await this.drop(url);
      const isThere = error instanceof Error && 'code' in error && error.code === DUPLICATE_DATABASE;
      // Another runner on the same server was faster.
      if (!isThere || !(await this.listMarked()).some(({ name }) => name === this.template)) {
        throw error;
      }
    }
  }

  /** The search path and the comment are not copied from a template. */
  private async makeMarked(name: string, source: string): Promise<void> {
    await this.run(async (query) => {
      await query(`create database ${name} ${source}`);
      await query(`comment on database ${name} is '${MARK}${new Date().toISOString()}'`);
      await query(`alter database ${name} set search_path = ${SEARCH_PATH}`);
    });
  }

  private async dropAbandoned(): Promise<void> {
    const { isOwn } = this.server;
    const oldestMs = Date.now() - (isOwn ? 0 : ABANDONED_AFTER_MS);
    for (const { name, comment } of await this.listMarked()) {
      const isNeeded = isOwn ? name === this.template : name.startsWith(TEMPLATE_PREFIX);
      if (!isNeeded && Date.parse(comment.slice(MARK.length)) < oldestMs) {
        // Fails while it is used.
        await this.run((query) => query(`drop database if exists ${name}`)).catch(() => undefined);
      }
    }
  }

  private async listMarked(): Promise<readonly MarkedDatabase[]> {
    const found = await this.run((query) =>
      query<MarkedDatabase>(
        `select datname as name, shobj_description(oid, 'pg_database') as comment from pg_database
         where starts_with(datname, '${PREFIX}') and starts_with(shobj_description(oid, 'pg_database'), '${MARK}')`,
      ),
    );
    return found;
  }

  private urlOf(name: string): string {
    const url = new URL(this.server.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  private async run<T>(
    work: (query: <Row extends object>(text: string) => Promise<readonly Row[]>) => Promise<T>,
  ): Promise<T> {
    const client = await connectClient(this.server.url, 'migrations', { application_name: 'ratchet testing' });
    try {
      return await work(async <Row extends object>(text: string) => (await client.query<Row>(text)).rows);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
