import { Module } from '@nestjs/common';
import { FamiliesRepository } from './families.repository.js';
import { RevocationPollerService } from './revocation-poller.service.js';
import { RevocationReaderService } from './revocation-reader.service.js';
import { RevokedSessionsService } from './revoked-sessions.service.js';
import { RotationQueueService } from './rotation-queue.service.js';
import { TokensService } from './tokens.service.js';
import { TombstoneCleanerService } from './tombstone-cleaner.service.js';

/**
 * Holds the refresh-token families (access tokens live in `auth/access-tokens`): rotation, reuse detection, revocation,
 * and the set of ended sessions that every instance keeps.
 */
@Module({
  providers: [
    FamiliesRepository,
    RevocationPollerService,
    RevocationReaderService,
    RevokedSessionsService,
    RotationQueueService,
    TokensService,
    TombstoneCleanerService,
  ],
  exports: [RevocationReaderService, RevokedSessionsService, TokensService, TombstoneCleanerService],
})
export class TokensModule {}
