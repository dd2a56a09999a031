import pg from 'pg';
import { poll } from './poll.js';
import type { ReportProgress } from './progress.js';
import { loopbackAddress } from './server-port.js';

// The `postgres` database of this cluster serves nothing else, so any number does.
const ownerLockKey = 1;
const regainMs = 30_000;

export interface ServerAddress {
  readonly port: number;
  /** Of both roles; a server that accepts it is the one of this cluster. */
  readonly password: string;
}

/**
 * Connects, and proves by the mutual authentication of SCRAM that the server is this cluster's.
 *
 * @returns `undefined` when there is no such server, or it does not take connections (yet, or any more)
 */
export async function connectIfRunning(
  address: ServerAddress,
  role: { readonly user: string; readonly database: string },
): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    host: loopbackAddress,
    ...address,
    ...role,
    ssl: false,
    connectionTimeoutMillis: 5_000,
    application_name: `process ${process.pid}`,
  });
  // 'end' follows and is what counts; without a listener the event would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch {
    await client.end().catch(() => undefined);
    return undefined;
  }
}

export async function connectAsSuperuser(address: ServerAddress): Promise<pg.Client | undefined> {
  // Not the service's own database: an open connection there would keep it from serving as a template.
  return connectIfRunning(address, { user: 'postgres', database: 'postgres' });
}

/**
 * Makes this connection the owner of the server. The lock lasts as long as the connection, which the operating system
 * closes however its process ends: a server without an owner is therefore an orphan, and no process number is guessed.
 *
 * @returns whether the server was free
 */
export async function takeOwnership(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [ownerLockKey]);
  return rows[0]?.taken === true;
}

/** Who owns the server, in words. */
export async function describeOwner(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ application_name: string }>(
    `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.locktype = 'advisory' AND l.granted AND l.objid = $1`,
    [ownerLockKey],
  );
  return rows[0]?.application_name ?? 'another process';
}

/**
 * Holds ownership until `release`. The server ends all connections when it recovers from the crash of one of its
 * processes; unless the lock were taken again afterwards, another start would take the server for an orphan.
 */
export class OwnerLock {
  private released = false;

  constructor(
    private client: pg.Client,
    private readonly address: ServerAddress,
    private readonly isServerAlive: () => Promise<boolean>,
    private readonly report: ReportProgress,
  ) {
    this.watch();
  }

  /** From now on the end of the connection is expected; the lock itself goes with the server. */
  expectShutdown(): void {
    this.released = true;
  }

  async release(): Promise<void> {
    this.released = true;
    await this.client.end().catch(() => undefined);
  }

  private watch(): void {
    this.client.once('end', () => {
      if (!this.released) {
        void this.regain();
      }
    });
  }

  private async regain(): Promise<void> {
    this.report('The embedded PostgreSQL has closed its connections.');
    const outcome = await poll(() => this.tryToRegain(), AbortSignal.timeout(regainMs), 100);
    if (outcome !== 'released') {
      this.report(
        outcome === 'regained'
          ? 'The embedded PostgreSQL takes connections again.'
          : 'The embedded PostgreSQL has ended; restart the service.',
      );
    }
  }

  private async tryToRegain(): Promise<'regained' | 'ended' | 'released' | undefined> {
    const client = await connectAsSuperuser(this.address);
    const taken = client !== undefined && (await takeOwnership(client).catch(() => false));
    if (taken && !this.released) {
      this.client = client;
      this.watch();
      return 'regained';
    }
    await client?.end().catch(() => undefined);
    if (this.released) {
      return 'released';
    }
    return (await this.isServerAlive()) ? undefined : 'ended';
  }
}
