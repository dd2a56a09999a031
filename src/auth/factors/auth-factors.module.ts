import { type DynamicModule, Module } from '@nestjs/common';
import { FactorsModule } from '../../factors/factors.module.js';
import { LimitsModule } from '../../limits/limits.module.js';
import { OutboxModule } from '../../mail/outbox.module.js';
import type { FactorsConfig } from '../../platform/config/config.js';
import { TicketsModule } from '../../tickets/tickets.module.js';
import { TokensModule } from '../../tokens/tokens.module.js';
import { UsersModule } from '../../users/users.module.js';
import { AccountsModule } from '../accounts/accounts.module.js';
import { AuthModule } from '../auth.module.js';
import { CodeVerifiersService } from './code-verifiers.service.js';
import { FactorAttemptsService } from './factor-attempts.service.js';
import { FactorChangesService } from './factor-changes.service.js';
import { FactorProofsService } from './factor-proofs.service.js';
import { FactorsController } from './factors.controller.js';
import { RecoveryCodeSetsService } from './recovery-code-sets.service.js';
import { SecondFactorSignInsController } from './second-factor-sign-ins.controller.js';
import { SecondFactorSignInsService } from './second-factor-sign-ins.service.js';
import { StepUpsController } from './step-ups.controller.js';
import { StepUpsService } from './step-ups.service.js';
import { TotpEnrolmentsService } from './totp-enrolments.service.js';

/** Enrols second factors, asks for them at a sign-in, and takes them as a further proof. Loaded where they are on. */
@Module({
  imports: [
    AccountsModule,
    AuthModule,
    FactorsModule,
    LimitsModule,
    OutboxModule,
    TicketsModule,
    TokensModule,
    UsersModule,
  ],
  controllers: [SecondFactorSignInsController, FactorsController, StepUpsController],
  providers: [
    CodeVerifiersService,
    FactorAttemptsService,
    FactorChangesService,
    FactorProofsService,
    RecoveryCodeSetsService,
    SecondFactorSignInsService,
    StepUpsService,
    TotpEnrolmentsService,
  ],
})
export class AuthFactorsModule {
  static async forRoot({ passkeys }: FactorsConfig): Promise<DynamicModule> {
    if (passkeys === undefined) {
      return { module: AuthFactorsModule };
    }
    const { passkeyParts } = await import('./passkey-parts.js');
    return { module: AuthFactorsModule, ...passkeyParts(passkeys) };
  }
}
