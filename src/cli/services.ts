import { NestFactory } from '@nestjs/core';
import { AccountsService } from '../auth/accounts/accounts.service.js';
import type { Config } from '../platform/config/config.js';
import { openDatabase } from '../platform/database/open-database.js';
import { FactorReencryptionService } from '../factors/factor-reencryption.service.js';
import { KeyLifeCycleService } from '../keys/key-life-cycle.service.js';
import { createLogger } from '../platform/logging/logger.js';
import { NestLogger } from '../platform/logging/nest.logger.js';
import { prettyDestination } from '../platform/logging/pretty.destination.js';
import { MailQueueService } from '../mail/mail-queue.service.js';
import { UsersService } from '../users/users.service.js';
import { readCommandConfig } from './command.config.js';
import { CommandModule } from './command.module.js';
import { type Invocation, noticesTo } from './terminal.js';

export interface Services {
  readonly users: UsersService;
  readonly accounts: AccountsService;
  readonly keys: KeyLifeCycleService;
  readonly factorReencryption: FactorReencryptionService;
  readonly mails: MailQueueService;
  readonly config: Config;
}

/**
 * Calls `work` with the services of the product, without HTTP, over the configured database, so that changes by an
 * operator follow the same rules, locks and revocations as changes by a user. An embedded database is that of a service
 * that runs in this data directory, or is started for the command. The schema is brought up to date first, as at the
 * start of a service. Everything is closed when the promise settles.
 */
export async function withServices<T>(invocation: Invocation, work: (services: Services) => Promise<T>): Promise<T> {
  const config = readCommandConfig(invocation);
  const database = await openDatabase(config.database, noticesTo(invocation), invocation.interrupted, 'join');
  try {
    const context = await NestFactory.createApplicationContext(CommandModule.forRoot(config, database.address), {
      logger: new NestLogger(createCommandLogger(config, invocation)),
      abortOnError: false,
    });
    try {
      return await work({
        users: context.get(UsersService, { strict: false }),
        accounts: context.get(AccountsService, { strict: false }),
        keys: context.get(KeyLifeCycleService, { strict: false }),
        factorReencryption: context.get(FactorReencryptionService, { strict: false }),
        mails: context.get(MailQueueService, { strict: false }),
        config,
      });
    } finally {
      await context.close();
    }
  } finally {
    await database.close();
  }
}

function createCommandLogger({ runtime }: Config, { output }: Invocation): ReturnType<typeof createLogger> {
  return createLogger({
    // A service's normal log would hide a command's answer; any other level is used as configured.
    level: runtime.logLevel === 'info' ? 'warn' : runtime.logLevel,
    destination: prettyDestination({ destination: output, colorize: false }),
  });
}
