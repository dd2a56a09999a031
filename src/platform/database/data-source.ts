import pg from 'pg';
import { type ColumnType, DataSource } from 'typeorm';
import { SigningKeyEntity } from '../../keys/signing-key.entity.js';
import { RefreshTokenFamilyEntity } from '../../tokens/refresh-token-family.entity.js';
import { UserEntity } from '../../users/user.entity.js';
import { type ConnectionUse, connectionConfig, settingIfPossible } from './connection-settings.js';
import { CreateCoreTables1764000000000 } from './migrations/1764000000000-create-core-tables.js';
import { CreateRateLimits1764100000000 } from './migrations/1764100000000-create-rate-limits.js';
import { OneKeySigns1764200000000 } from './migrations/1764200000000-one-key-signs.js';
import { KeepRetryKeys1764300000000 } from './migrations/1764300000000-keep-retry-keys.js';
import { FindEndedSessionsOfUser1764300100000 } from './migrations/1764300100000-find-ended-sessions-of-user.js';
import { CreateInstances1764400000000 } from './migrations/1764400000000-create-instances.js';
import { DatabaseClient } from './database-client.js';
import { SilentLogger } from './silent.logger.js';

/** Listed in the order in which they run. The database records them by their names. */
export const MIGRATIONS = [
  CreateCoreTables1764000000000,
  CreateRateLimits1764100000000,
  OneKeySigns1764200000000,
  KeepRetryKeys1764300000000,
  FindEndedSessionsOfUser1764300100000,
  CreateInstances1764400000000,
] as const;

/** TypeORM does not know PostgreSQL's 64-bit transaction ids and would refuse an entity that has one. */
const TRANSACTION_ID_TYPE = 'xid8' as ColumnType;

export interface DataSourceSettings {
  readonly url: string;
  readonly poolSize: number;
  readonly use: ConnectionUse;
  /** See `connectionConfig`; true by default. */
  readonly canSet?: boolean;
}

/** Describes the schema and how to connect, for the service, the migrations and the drift check alike. */
export function createDataSource({ url, poolSize, use, canSet = true }: DataSourceSettings): DataSource {
  const dataSource = new DataSource({
    type: 'postgres',
    // TypeORM would look the driver up on disk; in the bundle that would be a second copy.
    driver: pg,
    poolSize,
    entities: [UserEntity, RefreshTokenFamilyEntity, SigningKeyEntity],
    migrations: [...MIGRATIONS],
    migrationsTableName: 'schema_migrations',
    installExtensions: false,
    logging: false,
    logger: new SilentLogger(),
    // The pool replaces a lost idle connection by itself; the query on a lost one gets the error.
    poolErrorHandler: () => undefined,
    extra: {
      ...connectionConfig(url, use, canSet),
      Client: DatabaseClient,
      ...(use === 'service' && canSet && { onConnect: requireWritable }),
    },
  });
  dataSource.driver.supportedDataTypes.push(TRANSACTION_ID_TYPE);
  return dataSource;
}

/** Keeps read-only sessions out of the pool. */
function requireWritable(client: DatabaseClient): void {
  client.requireWritable();
}

/** Connects for migrations, also through a pooler. */
export function openForMigrations(url: string): Promise<DataSource> {
  return settingIfPossible((canSet) => createDataSource({ url, poolSize: 2, use: 'migrations', canSet }).initialize());
}
