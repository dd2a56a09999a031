import { Module } from '@nestjs/common';
import { OutboxModule } from '../mail/outbox.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';
import { MetricsServer } from './metrics.server.js';
import { MetricsService } from './metrics.service.js';

/** Shows a monitoring system, on a port of its own, the state of this instance, and nothing about its users. */
@Module({
  imports: [OutboxModule, TokensModule, UsersModule],
  providers: [MetricsServer, MetricsService],
})
export class MetricsModule {}
