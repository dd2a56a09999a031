import { Module } from '@nestjs/common';
import { FactorRemovalsRepository } from './factor-removals.repository.js';
import { FactorRemovalsService } from './factor-removals.service.js';

/** Removes factors. Loaded by every program that changes accounts, because a user may have factors where they are off. */
@Module({
  providers: [FactorRemovalsRepository, FactorRemovalsService],
  exports: [FactorRemovalsService],
})
export class FactorRemovalsModule {}
