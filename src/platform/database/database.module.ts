import { type DynamicModule, Module } from '@nestjs/common';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { Clock } from '../common/clock.js';
import { Config } from '../config/config.js';
import { createDataSource } from './data-source.js';
import { DatabaseClock } from './database-clock.js';
import { DatabaseService } from './database.service.js';
import { DatabaseAddress, SessionSupport } from './database.types.js';
import { findSessionSupport } from './session-support.js';

/** Holds the connections to Postgres, the schema and its migrations. */
@Module({})
export class DatabaseModule {
  static forRoot(address: DatabaseAddress): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      providers: [
        DatabaseClock,
        { provide: DatabaseAddress, useValue: address },
        { provide: SessionSupport, useFactory: () => findSessionSupport(address) },
        {
          provide: DataSource,
          inject: [Config, SessionSupport],
          useFactory: (config: Config, { isKept }: SessionSupport) =>
            createDataSource({
              url: address.url,
              poolSize: config.database.poolSize,
              use: 'service',
              canSet: isKept,
            }).initialize(),
        },
        {
          provide: DatabaseService,
          inject: [DataSource, Clock, SessionSupport],
          useFactory: (dataSource: DataSource, clock: Clock, { isKept }: SessionSupport) =>
            new DatabaseService(dataSource, poolOf(dataSource), clock, { canPrepare: isKept }),
        },
      ],
      exports: [DatabaseClock, DatabaseService, DatabaseAddress, SessionSupport],
    };
  }
}

/** Returns TypeORM's own pool, so that TypeORM and `DatabaseService` share one set of connections. */
function poolOf(dataSource: DataSource): Pool {
  if ('master' in dataSource.driver && dataSource.driver.master instanceof Pool) {
    return dataSource.driver.master;
  }
  throw new Error('TypeORM no longer exposes its connection pool as driver.master');
}
