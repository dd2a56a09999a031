import { type DynamicModule, Module } from '@nestjs/common';
import { AuthModule } from './auth/auth.module.js';
import { RegistrationModule } from './auth/registration.module.js';
import { CommonModule } from './platform/common/common.module.js';
import type { Config, FactorsConfig, MailConfig } from './platform/config/config.js';
import { DatabaseModule } from './platform/database/database.module.js';
import type { DatabaseAddress } from './platform/database/database.types.js';
import { GatewayModule } from './gateway/gateway.module.js';
import { HealthModule } from './health/health.module.js';
import { ServedKeysModule } from './keys/served-keys.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { OAuthModule } from './oauth/oauth.module.js';

/** Only a service that sends mail loads what that takes. */
async function loadMailboxModule(mail: MailConfig): Promise<DynamicModule> {
  const { MailboxModule } = await import('./auth/mailbox/mailbox.module.js');
  return MailboxModule.forRoot(mail);
}

/** Only a service with second factors loads what they take. */
async function loadAuthFactorsModule(factors: FactorsConfig): Promise<DynamicModule> {
  const { AuthFactorsModule } = await import('./auth/factors/auth-factors.module.js');
  return AuthFactorsModule.forRoot(factors);
}

async function loadMailModule(): Promise<DynamicModule> {
  const { MailModule } = await import('./mail/mail.module.js');
  return { module: MailModule };
}

/** The composition root of a serving instance. */
@Module({})
export class AppModule {
  static forRoot(config: Config, address: DatabaseAddress): DynamicModule {
    return {
      module: AppModule,
      imports: [
        CommonModule.forRoot(config),
        DatabaseModule.forRoot(address),
        // First, because the documentation has the order of the modules.
        ...(config.mail?.verification === 'required' ? [] : [RegistrationModule]),
        AuthModule,
        GatewayModule,
        OAuthModule,
        HealthModule,
        ServedKeysModule,
        MetricsModule,
        ...(config.mail === undefined ? [] : [loadMailboxModule(config.mail), loadMailModule()]),
        ...(config.factors === undefined ? [] : [loadAuthFactorsModule(config.factors)]),
      ],
    };
  }
}
