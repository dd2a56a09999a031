import pg from 'pg';
import { type ColumnType, DataSource } from 'typeorm';
import { KnownClientEntity } from '../../auth/sessions/known-client.entity.js';
import { PasskeyEntity } from '../../factors/passkey.entity.js';
import { RecoveryCodeEntity } from '../../factors/recovery-code.entity.js';
import { TotpFactorEntity } from '../../factors/totp-factor.entity.js';
import { SigningKeyEntity } from '../../keys/signing-key.entity.js';
import { OutgoingMailEntity } from '../../mail/outgoing-mail.entity.js';
import { TicketEntity } from '../../tickets/ticket.entity.js';
import { RefreshTokenFamilyEntity } from '../../tokens/refresh-token-family.entity.js';
import { UserEntity } from '../../users/user.entity.js';
import { connectionConfig, settingIfPossible } from './connection-settings.js';
import { DatabaseClient } from './database-client.js';
import { MIGRATIONS } from './migrations.js';
import { SilentLogger } from './silent.logger.js';

/** TypeORM does not know PostgreSQL's 64-bit transaction ids and would refuse an entity that has one. */
const TRANSACTION_ID_TYPE = 'xid8' as ColumnType;

/** Connects for migrations and the drift check, also through a pooler. */
export function openForMigrations(url: string): Promise<DataSource> {
  return settingIfPossible((canSet) => createDataSource(url, canSet).initialize());
}

function createDataSource(url: string, canSet: boolean): DataSource {
  const dataSource = new DataSource({
    type: 'postgres',
    // TypeORM would look the driver up on disk; in the bundle that would be a second copy.
    driver: pg,
    poolSize: 2,
    entities: [
      UserEntity,
      RefreshTokenFamilyEntity,
      SigningKeyEntity,
      TicketEntity,
      OutgoingMailEntity,
      KnownClientEntity,
      TotpFactorEntity,
      RecoveryCodeEntity,
      PasskeyEntity,
    ],
    migrations: [...MIGRATIONS],
    migrationsTableName: 'schema_migrations',
    installExtensions: false,
    logging: false,
    logger: new SilentLogger(),
    // The pool replaces a lost idle connection by itself; the query on a lost one gets the error.
    poolErrorHandler: () => undefined,
    extra: { ...connectionConfig(url, 'migrations', canSet), Client: DatabaseClient },
  });
  dataSource.driver.supportedDataTypes.push(TRANSACTION_ID_TYPE);
  return dataSource;
}
