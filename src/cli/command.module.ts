import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule } from '../auth/accounts/accounts.module.js';
import { FactorSecretsModule } from '../factors/factor-secrets.module.js';
import { CommonModule } from '../platform/common/common.module.js';
import type { Config } from '../platform/config/config.js';
import { DatabaseModule } from '../platform/database/database.module.js';
import type { DatabaseAddress } from '../platform/database/database.types.js';

/** The composition root of a command: accounts, keys and the secrets of factors, without what only a serving instance does. */
@Module({})
export class CommandModule {
  static forRoot(config: Config, address: DatabaseAddress): DynamicModule {
    return {
      module: CommandModule,
      imports: [CommonModule.forRoot(config), DatabaseModule.forRoot(address), AccountsModule, FactorSecretsModule],
    };
  }
}
