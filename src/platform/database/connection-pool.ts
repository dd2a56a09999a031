import { type ClientBase, Pool } from 'pg';
import { connectionConfig } from './connection-settings.js';
import { DatabaseClient } from './database-client.js';

export interface PoolSettings {
  readonly url: string;
  readonly poolSize: number;
  /** See `connectionConfig`. */
  readonly canSet: boolean;
}

/** Creates the connections of the service. The first one is opened when it is needed. */
export function createPool({ url, poolSize, canSet }: PoolSettings): Pool {
  const pool = new Pool({
    ...connectionConfig(url, 'service', canSet),
    max: poolSize,
    Client: DatabaseClient,
    ...(canSet && { onConnect: requireWritable }),
  });
  // The pool replaces a lost idle connection by itself; the query on a lost one gets the error.
  pool.on('error', () => undefined);
  return pool;
}

/** Keeps read-only sessions out of the pool. */
function requireWritable(client: ClientBase): void {
  (client as DatabaseClient).requireWritable();
}
