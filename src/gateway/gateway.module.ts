import { Module } from '@nestjs/common';
import { TokensModule } from '../tokens/tokens.module.js';
import { RevocationsController } from './revocations.controller.js';
import { VerifyController } from './verify.controller.js';

/** What stands in front of backends asks: a gateway about one request, a verifier about sessions that have ended. */
@Module({
  imports: [TokensModule],
  controllers: [RevocationsController, VerifyController],
})
export class GatewayModule {}
