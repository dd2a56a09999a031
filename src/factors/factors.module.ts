import { Module } from '@nestjs/common';
import { LimitsModule } from '../limits/limits.module.js';
import { TicketsModule } from '../tickets/tickets.module.js';

/** Keeps second factors and judges them; knows users by their id only. Loaded where second factors are on. */
@Module({
  imports: [LimitsModule, TicketsModule],
  providers: [],
  exports: [],
})
export class FactorsModule {}
