import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { HealthController } from './health.controller.js';
import { HealthService } from './health.service.js';

/** Tells an operator or an orchestrator whether this instance lives and whether it can serve. */
@Module({
  imports: [KeysModule, TokensModule],
  controllers: [HealthController],
  providers: [HealthService],
})
export class HealthModule {}
