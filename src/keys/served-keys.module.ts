import { Module } from '@nestjs/common';
import { JwksController } from './jwks.controller.js';
import { KeyRotationService } from './key-rotation.service.js';
import { KeysModule } from './keys.module.js';

/**
 * Publishes the signing keys, and rotates them by their age. Commands do without it: they serve nothing, and their
 * configuration may differ from that of the instances that serve.
 */
@Module({
  imports: [KeysModule],
  controllers: [JwksController],
  providers: [KeyRotationService],
})
export class ServedKeysModule {}
