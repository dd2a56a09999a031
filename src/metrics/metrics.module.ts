import { Module } from '@nestjs/common';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';
import { MetricsServer } from './metrics.server.js';
import { MetricsService } from './metrics.service.js';

/** Tells a monitoring system, on a port of its own, how this instance is doing; nothing of whom it serves. */
@Module({
  imports: [TokensModule, UsersModule],
  providers: [MetricsServer, MetricsService],
})
export class MetricsModule {}
