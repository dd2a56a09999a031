import { Module } from '@nestjs/common';
import { KeyRotationService } from './key-rotation.service.js';
import { KeysModule } from './keys.module.js';

/**
 * Rotates the signing keys by their age. Commands do without it, because their configuration may differ from that of
 * the instances that serve.
 */
@Module({
  imports: [KeysModule],
  providers: [KeyRotationService],
})
export class KeyRotationModule {}
