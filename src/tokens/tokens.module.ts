import { Module } from '@nestjs/common';
import { FamiliesRepository } from './families.repository.js';
import { RevocationFeedService } from './revocation-feed.service.js';
import { RotationQueueService } from './rotation-queue.service.js';
import { TokensService } from './tokens.service.js';
import { TombstoneCleanerService } from './tombstone-cleaner.service.js';

/** Refresh-token families: rotation, reuse detection, revocation, and the feed that carries revocations to every instance. */
@Module({
  providers: [FamiliesRepository, RevocationFeedService, RotationQueueService, TokensService, TombstoneCleanerService],
  exports: [RevocationFeedService, TokensService, TombstoneCleanerService],
})
export class TokensModule {}
