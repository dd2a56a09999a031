import { type DynamicModule, Module } from '@nestjs/common';
import { Pool } from 'pg';
import { Clock } from '../common/clock.js';
import { Config } from '../config/config.js';
import { createPool } from './connection-pool.js';
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
          provide: Pool,
          inject: [Config, SessionSupport],
          useFactory: (config: Config, { isKept }: SessionSupport) =>
            createPool({ url: address.url, poolSize: config.database.poolSize, canSet: isKept }),
        },
        {
          provide: DatabaseService,
          inject: [Pool, Clock, SessionSupport],
          useFactory: (pool: Pool, clock: Clock, { isKept }: SessionSupport) =>
            new DatabaseService(pool, clock, { canPrepare: isKept }),
        },
      ],
      exports: [DatabaseClock, DatabaseService, DatabaseAddress, SessionSupport],
    };
  }
}
