import { Module } from '@nestjs/common';
import { OutboxService } from './outbox.service.js';
import { OutgoingMailsRepository } from './outgoing-mails.repository.js';

/** Takes mails in the transaction of their cause. Loads nothing that renders or sends. */
@Module({
  providers: [OutboxService, OutgoingMailsRepository],
  exports: [OutboxService],
})
export class OutboxModule {}
