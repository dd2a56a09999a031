import { Module } from '@nestjs/common';
import { FactorReencryptionService } from './factor-reencryption.service.js';
import { FactorSecretsVault } from './factor-secrets.vault.js';
import { TotpFactorsRepository } from './totp-factors.repository.js';

/** Keeps the secrets of authenticator apps encrypted. Commands load it without what judges codes. */
@Module({
  providers: [FactorReencryptionService, FactorSecretsVault, TotpFactorsRepository],
  exports: [FactorReencryptionService, FactorSecretsVault, TotpFactorsRepository],
})
export class FactorSecretsModule {}
