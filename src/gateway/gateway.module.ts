import { Module } from '@nestjs/common';
import { TokensModule } from '../tokens/tokens.module.js';
import { RevocationsController } from './revocations.controller.js';
import { VerifyController } from './verify.controller.js';

/** Answers what stands in front of backends: a gateway about one request, a verifier about ended sessions. */
@Module({
  imports: [TokensModule],
  controllers: [RevocationsController, VerifyController],
})
export class GatewayModule {}
