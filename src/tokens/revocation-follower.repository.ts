import { createHash, randomBytes } from 'node:crypto';
import { Client, DatabaseError } from 'pg';
import { REVOCATION_CHANNEL } from './revocation-channel.js';
import type { PolledRevocations } from './revocation-log.js';

/** Longer than any access token may live (3600 s), so a revoked session is forgotten only after its last token. */
export const REVOCATION_WINDOW_SECONDS = 3_720;

const QUERY_TIMEOUT_MS = 3_000;

/** What a server has seen that has run no transaction yet. */
const EMPTY_SNAPSHOT = '1:1:';

/**
 * Which server this is, and how often its history has branched off (by a promotion or a recovery in the past). A standby
 * refuses to say: what it shows may be old.
 */
const HISTORY = `(
  select system_identifier::text || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) from pg_control_system())`;

/** Some managed servers do not tell: insufficient privilege, no such function, feature not supported. */
const UNKNOWN_HISTORY = `''`;
const NOT_TOLD_SQLSTATES: readonly (string | undefined)[] = ['42501', '42883', '0A000'];

export interface FollowerOptions {
  readonly url: string;
  /** Behind a transaction pooler LISTEN would bind a connection that others use, and reach nobody. */
  readonly canListen: boolean;
  /** There may be news, or the connection is gone. */
  readonly onWakeUp: () => void;
}

/** A connection that reads the revocations of all instances: the whole window first, then each once. */
export class RevocationFollower {
  private snapshot = EMPTY_SNAPSHOT;
  private completeBeforeXid = 0n;
  private history: string | undefined;
  private epoch = '';

  private constructor(
    private readonly client: Client,
    private readonly historySql: string,
    readonly isListening: boolean,
    /** Why the server does not notify; undefined where it does or was not asked to. */
    readonly listenRefusal: DatabaseError | undefined,
  ) {}

  /** @throws what keeps it from following; nothing is left open then */
  static async connect({ url, canListen, onWakeUp }: FollowerOptions): Promise<RevocationFollower> {
    const client = new Client({
      connectionString: url,
      application_name: 'ratchet revocations',
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    client.on('error', onWakeUp);
    client.on('notification', onWakeUp);
    try {
      await client.connect();
      // Before the first poll: what is committed in between is then either read or notified.
      const listenRefusal = canListen ? await refusalOf(client, `listen ${REVOCATION_CHANNEL}`) : undefined;
      const historyRefusal = await refusalOf(client, `select ${HISTORY}`);
      if (historyRefusal !== undefined && !NOT_TOLD_SQLSTATES.includes(historyRefusal.code)) {
        throw historyRefusal;
      }
      const historySql = historyRefusal === undefined ? HISTORY : UNKNOWN_HISTORY;
      const isListening = canListen && listenRefusal === undefined;
      return new RevocationFollower(client, historySql, isListening, listenRefusal);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Revocations committed since the last poll, each once: those that the snapshot of that poll did not see, however
   * early their transactions began and stamped their rows. A timestamp cursor would lose the late ones, and one on xmin
   * alone would read the same rows again for as long as any transaction in the whole server stays open.
   *
   * @throws Error also when this is no longer the same history: a pooler has been led to another server, or to one that
   *   was restored. Whoever follows has to begin again with a new connection.
   */
  async poll(): Promise<PolledRevocations> {
    const { rows } = await this.client.query<PolledRow>(
      `select pg_current_snapshot()::text as snapshot, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
         ${this.historySql} as history,
         coalesce(array_agg(id::text), '{}') as ids, coalesce(array_agg(revoked_xid::text), '{}') as xids
       from refresh_token_families
       where revoked_xid >= pg_snapshot_xmin($1::pg_snapshot)
         and not pg_visible_in_snapshot(revoked_xid, $1::pg_snapshot)
         and revoked_at > now() - make_interval(secs => ${REVOCATION_WINDOW_SECONDS})`,
      [this.snapshot],
    );
    const [row] = rows;
    if (row === undefined) {
      throw new Error('the poll returned no row');
    }
    const completeBeforeXid = BigInt(row.xmin);
    this.requireSameHistory(row.history, completeBeforeXid);
    this.snapshot = row.snapshot;
    this.completeBeforeXid = completeBeforeXid;
    return {
      revocations: row.ids.map((sessionId, index) => ({ sessionId, xid: BigInt(row.xids[index] ?? 0) })),
      epoch: this.epoch,
      completeBeforeXid,
    };
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }

  /** Where the history is not told, every connection counts as one of its own, and ids that run backwards as another. */
  private requireSameHistory(history: string, completeBeforeXid: bigint): void {
    if (this.history === undefined) {
      this.history = history;
      const source = history === '' ? randomBytes(16) : history;
      this.epoch = createHash('sha256').update(source).digest().subarray(0, 8).toString('base64url');
    }
    if (history !== this.history || completeBeforeXid < this.completeBeforeXid) {
      throw new Error('the connection leads to another history of the database');
    }
  }
}

interface PolledRow {
  /** What this poll saw; the next one reads what it did not. */
  readonly snapshot: string;
  /** Every transaction with an earlier id had ended when the statement began. */
  readonly xmin: string;
  readonly history: string;
  readonly ids: readonly string[];
  /** Of the same rows, in the same order. */
  readonly xids: readonly string[];
}

/** @returns why the server will not run the statement; undefined when it has */
async function refusalOf(client: Client, statement: string): Promise<DatabaseError | undefined> {
  try {
    await client.query(statement);
    return undefined;
  } catch (error) {
    if (error instanceof DatabaseError) {
      return error;
    }
    throw error;
  }
}
