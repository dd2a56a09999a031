import { Module } from '@nestjs/common';
import { KeyLifeCycleService } from './key-life-cycle.service.js';
import { KeysRepository } from './keys.repository.js';
import { KeysService } from './keys.service.js';
import { SigningKeyVault } from './signing-key.vault.js';

/** Keeps the signing keys of access tokens: stores them encrypted, and shares them among instances. */
@Module({
  providers: [KeysRepository, SigningKeyVault, KeyLifeCycleService, KeysService],
  exports: [KeysService, KeyLifeCycleService],
})
export class KeysModule {}
