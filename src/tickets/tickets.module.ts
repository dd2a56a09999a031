import { Module } from '@nestjs/common';
import { TokensModule } from '../tokens/tokens.module.js';
import { TicketsRepository } from './tickets.repository.js';
import { TicketsService } from './tickets.service.js';

/** Holds what is used once: one token format and one table for every mail, challenge and unfinished sign-in. */
@Module({
  imports: [TokensModule],
  providers: [TicketsRepository, TicketsService],
  exports: [TicketsService],
})
export class TicketsModule {}
