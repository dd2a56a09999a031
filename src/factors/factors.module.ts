import { Module } from '@nestjs/common';
import { LimitsModule } from '../limits/limits.module.js';
import { TicketsModule } from '../tickets/tickets.module.js';
import { FactorSecretsModule } from './factor-secrets.module.js';
import { PasskeyRecordsService } from './passkey-records.service.js';
import { PasskeysRepository } from './passkeys.repository.js';
import { RecoveryCodesRepository } from './recovery-codes.repository.js';
import { RecoveryCodesService } from './recovery-codes.service.js';
import { TotpFactorsService } from './totp-factors.service.js';

/** Keeps second factors and judges them; knows users by their id only. Loaded where second factors are on. */
@Module({
  imports: [FactorSecretsModule, LimitsModule, TicketsModule],
  providers: [
    PasskeyRecordsService,
    PasskeysRepository,
    RecoveryCodesRepository,
    RecoveryCodesService,
    TotpFactorsService,
  ],
  exports: [PasskeyRecordsService, RecoveryCodesService, TotpFactorsService],
})
export class FactorsModule {}
