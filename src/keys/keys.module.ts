import { Module } from '@nestjs/common';
import { JwksController } from './jwks.controller.js';
import { KeysRepository } from './keys.repository.js';
import { KeysService } from './keys.service.js';

/** The signing keys of access tokens: stored encrypted, shared by all instances, published as a JWK Set. */
@Module({
  controllers: [JwksController],
  providers: [KeysRepository, KeysService],
  exports: [KeysService],
})
export class KeysModule {}
