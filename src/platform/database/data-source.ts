import pg from 'pg';
import { type ColumnType, DataSource } from 'typeorm';
import { SigningKeyEntity } from '../../keys/signing-key.entity.js';
import { RefreshTokenFamilyEntity } from '../../tokens/refresh-token-family.entity.js';
import { UserEntity } from '../../users/user.entity.js';
import { CreateCoreTables1764000000000 } from './migrations/1764000000000-create-core-tables.js';
import { CreateRateLimits1764100000000 } from './migrations/1764100000000-create-rate-limits.js';
import { OneKeySigns1764200000000 } from './migrations/1764200000000-one-key-signs.js';
import { SilentLogger } from './silent.logger.js';

/** The server cancels a statement after this long, so that one whose client has given up cannot act late. */
const STATEMENT_TIMEOUT_MS = 5_000;

/** The client gives up later than the server, so that a silent connection is the only reason for it. */
const QUERY_TIMEOUT_MS = 7_000;

const CONNECT_TIMEOUT_MS = 5_000;

/** TypeORM does not know PostgreSQL's 64-bit transaction ids and would refuse an entity that has one. */
const TRANSACTION_ID_TYPE = 'xid8' as ColumnType;

/**
 * `service`: an acknowledged rotation or revocation is on disk, whatever the server's default, and no statement
 * outlives its client. `pooled`: a transaction pooler refuses start-up parameters and does not keep a session's
 * settings. `migrations`: a statement may take as long as the table is large.
 */
export type ConnectionUse = 'service' | 'pooled' | 'migrations';

export interface DataSourceSettings {
  readonly url: string;
  readonly poolSize: number;
  readonly use: ConnectionUse;
}

/** Describes the schema and how to connect, for the service, the migrations and the drift check alike. */
export function createDataSource({ url, poolSize, use }: DataSourceSettings): DataSource {
  const dataSource = new DataSource({
    type: 'postgres',
    // TypeORM would look the driver up on disk; in the bundle that would be a second copy.
    driver: pg,
    url,
    poolSize,
    applicationName: 'ratchet',
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    entities: [UserEntity, RefreshTokenFamilyEntity, SigningKeyEntity],
    migrations: [CreateCoreTables1764000000000, CreateRateLimits1764100000000, OneKeySigns1764200000000],
    migrationsTableName: 'schema_migrations',
    installExtensions: false,
    logging: false,
    logger: new SilentLogger(),
    // The pool replaces a lost idle connection by itself; the query on a lost one gets the error.
    poolErrorHandler: () => undefined,
    extra: EXTRA_POOL_OPTIONS[use],
  });
  dataSource.driver.supportedDataTypes.push(TRANSACTION_ID_TYPE);
  return dataSource;
}

const EXTRA_POOL_OPTIONS: Readonly<Record<ConnectionUse, object>> = {
  service: {
    query_timeout: QUERY_TIMEOUT_MS,
    options: [
      '-c synchronous_commit=on',
      `-c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      '-c idle_in_transaction_session_timeout=10000',
    ].join(' '),
  },
  pooled: { query_timeout: QUERY_TIMEOUT_MS },
  migrations: {},
};
