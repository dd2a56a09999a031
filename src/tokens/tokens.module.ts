import { Module } from '@nestjs/common';
import { FamiliesRepository } from './families.repository.js';
import { RevocationFeed } from './revocation-feed.service.js';
import { RotationQueue } from './rotation-queue.service.js';
import { TokensService } from './tokens.service.js';
import { TombstoneCleaner } from './tombstone-cleaner.service.js';

/** Refresh-token families: rotation, reuse detection, revocation, and the feed that carries revocations to every instance. */
@Module({
  providers: [FamiliesRepository, RevocationFeed, RotationQueue, TokensService, TombstoneCleaner],
  exports: [RevocationFeed, TokensService, TombstoneCleaner],
})
export class TokensModule {}
