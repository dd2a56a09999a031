import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '@ratchet/embedded-postgres';

/** PostgreSQL as `npm start` runs it, fsync and synchronous_commit on, with the means to count statements. */
const SERVER_SETTINGS = { shared_preload_libraries: 'pg_stat_statements' };

/** Runs one server for everything that is measured, with a database for each target. */
export class BenchServer {
  #server;
  #admin;

  static async start(dataDir) {
    const server = await startEmbeddedPostgres({ dataDirectory: dataDir, serverSettings: SERVER_SETTINGS });
    const admin = new pg.Client({ connectionString: server.superuserUrl });
    await admin.connect();
    await admin.query('create extension if not exists pg_stat_statements');
    const bench = new BenchServer(server, admin);
    // Counting costs time, so it is on in `countStatements` only.
    await bench.#track('none');
    return bench;
  }

  constructor(server, admin) {
    this.#server = server;
    this.#admin = admin;
  }

  urlOf(name) {
    const url = new URL(this.#server.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  /** @returns the URL of an empty database */
  async createDatabase(name) {
    await this.#admin.query(`drop database if exists ${name} with (force)`);
    await this.#admin.query(`create database ${name} owner ratchet`);
    return this.urlOf(name);
  }

  async query(text, values) {
    const { rows } = await this.#admin.query(text, values);
    return rows;
  }

  /** The server's own process, whose children do the work. */
  async postmasterPid() {
    const file = await readFile(join(this.#server.dataDirectory, 'postgres', 'data', 'postmaster.pid'), 'utf8');
    return Number(file.split('\n', 1)[0]);
  }

  /**
   * Counts what a database does while `work` runs. The WAL position and the transaction counter are exact at any time,
   * where pg_stat_wal and pg_stat_database lag by seconds; both cover the whole server, which has no other user
   * meanwhile.
   *
   * @returns statements, transactions that wrote, and bytes of WAL
   */
  async countStatements(database, work) {
    await this.#track('top');
    try {
      await this.query('select pg_stat_statements_reset()');
      const before = await this.#position();
      await work();
      const after = await this.#position();
      const statements = await this.query(
        `select statements.query, statements.calls::integer as calls
         from pg_stat_statements as statements join pg_database on pg_database.oid = statements.dbid
         where pg_database.datname = $1 order by calls desc`,
        [database],
      );
      return {
        statements: statements.reduce((sum, { calls }) => sum + calls, 0),
        writingTransactions: after.transactions - before.transactions,
        walBytes: after.wal_bytes - before.wal_bytes,
        byStatement: statements.slice(0, 12).map(({ query, calls }) => ({ calls, query: excerpt(query) })),
      };
    } finally {
      await this.#track('none');
    }
  }

  /** Rows inserted and updated so far, without what connections that are still open have not reported yet. */
  async rowChanges(name) {
    const client = new pg.Client({ connectionString: this.urlOf(name) });
    await client.connect();
    try {
      const { rows } = await client.query(
        `select coalesce(sum(n_tup_ins), 0)::float8 as inserted, coalesce(sum(n_tup_upd), 0)::float8 as updated,
           coalesce(sum(n_tup_hot_upd), 0)::float8 as updated_hot, coalesce(sum(n_tup_del), 0)::float8 as deleted
         from pg_stat_user_tables`,
      );
      return rows[0];
    } finally {
      await client.end();
    }
  }

  async version() {
    const [{ version }] = await this.query('select version()');
    return version;
  }

  /** The settings that decide what a commit costs, as the server has them. */
  async settings() {
    const rows = await this.query(
      `select name, setting, unit from pg_settings
       where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers',
                      'max_wal_size', 'max_connections')`,
    );
    return Object.fromEntries(rows.map(({ name, setting, unit }) => [name, `${setting}${unit ?? ''}`]));
  }

  async checkpoint() {
    await this.query('checkpoint');
  }

  async stop() {
    await this.#admin.end();
    await this.#server.stop();
  }

  async #track(what) {
    await this.query(`alter system set pg_stat_statements.track = '${what}'`);
    await this.query('select pg_reload_conf()');
    // The other sessions read it at their next statement; the postmaster has to have told them by then.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  async #position() {
    const [position] = await this.query(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal_bytes,
         pg_snapshot_xmax(pg_current_snapshot())::text::float8 as transactions`,
    );
    return position;
  }
}

const excerpt = (query) => query.replace(/\s+/g, ' ').trim().slice(0, 100);
