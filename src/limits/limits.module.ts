import { Logger, Module, type OnModuleInit } from '@nestjs/common';
import { Config } from '../platform/config/config.js';
import { Readiness } from '../platform/common/readiness.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { CodeAttemptsService } from './code-attempts.service.js';
import { Counters } from './counter.js';
import { MailLimitsService } from './mail-limits.service.js';
import { PasskeyOptionsLimiterService } from './passkey-options-limiter.service.js';
import { PasswordAttemptsService } from './password-attempts.service.js';
import { PostgresCounters } from './postgres-counters.js';
import { RefusedTokenLimiterService } from './refused-token-limiter.service.js';
import { RegistrationsService } from './registrations.service.js';

/** Limits guesses of passwords and codes, registrations, mails and refused tokens, without locking an owner out for good. */
@Module({
  providers: [
    {
      provide: Counters,
      inject: [Config, DatabaseService, Readiness],
      useFactory: async ({ limits }: Config, database: DatabaseService, readiness: Readiness): Promise<Counters> => {
        if (!limits.isOn || limits.redisUrl === undefined) {
          return new PostgresCounters(database);
        }
        // The Redis client is a quarter of all modules of the service; only a service that uses it loads it.
        const { RedisCounters } = await import('./redis-counters.js');
        return new RedisCounters(limits.redisUrl, readiness);
      },
    },
    CodeAttemptsService,
    MailLimitsService,
    PasskeyOptionsLimiterService,
    PasswordAttemptsService,
    RefusedTokenLimiterService,
    RegistrationsService,
  ],
  exports: [
    CodeAttemptsService,
    MailLimitsService,
    PasskeyOptionsLimiterService,
    PasswordAttemptsService,
    RefusedTokenLimiterService,
    RegistrationsService,
  ],
})
export class LimitsModule implements OnModuleInit {
  private readonly logger = new Logger(LimitsModule.name);

  constructor(private readonly config: Config) {}

  onModuleInit(): void {
    if (!this.config.limits.isOn) {
      this.logger.warn({
        event: 'rate_limits_off',
        msg: 'RATE_LIMITS=off: nothing slows down the guessing of passwords; for load tests and test suites only',
      });
    }
  }
}
