import { NestFactory } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { AccountsService } from '../auth/accounts/accounts.service.js';
import type { Config } from '../platform/config/config.js';
import { loadConfig } from '../platform/config/config.loader.js';
import { openDatabase } from '../platform/database/open-database.js';
import { KeyLifeCycleService } from '../keys/key-life-cycle.service.js';
import { createLogger } from '../platform/logging/logger.js';
import { NestLogger } from '../platform/logging/nest.logger.js';
import { prettyDestination } from '../platform/logging/pretty.destination.js';
import { UsersService } from '../users/users.service.js';
import { writeNotice } from './terminal.js';

export interface Services {
  readonly users: UsersService;
  readonly accounts: AccountsService;
  readonly keys: KeyLifeCycleService;
  readonly config: Config;
}

const STDERR_FD = 2;

/**
 * Lends `work` the services of the running product, short of its HTTP side, over the configured database: what an
 * operator changes goes through the same rules, locks and revocations as what a user changes. The database is that of
 * a service that runs in this data directory, or is started for the while; its schema is brought up to date as it is
 * when the service starts. All is closed when the promise settles.
 */
export async function withServices<T>(interrupted: AbortSignal, work: (services: Services) => Promise<T>): Promise<T> {
  const config = loadConfig();
  const database = await openDatabase(config.database, writeNotice, interrupted, 'join');
  try {
    const context = await NestFactory.createApplicationContext(AppModule.forRoot(config, database.address), {
      logger: new NestLogger(createCommandLogger(config)),
      abortOnError: false,
    });
    try {
      return await work({
        users: context.get(UsersService, { strict: false }),
        accounts: context.get(AccountsService, { strict: false }),
        keys: context.get(KeyLifeCycleService, { strict: false }),
        config,
      });
    } finally {
      await context.close();
    }
  } finally {
    await database.close();
  }
}

function createCommandLogger({ runtime }: Config): ReturnType<typeof createLogger> {
  return createLogger({
    // What a service says of its normal course is noise beside a command's answer; any other level is as asked for.
    level: runtime.logLevel === 'info' ? 'warn' : runtime.logLevel,
    destination: prettyDestination({ destination: STDERR_FD, colorize: false }),
  });
}
