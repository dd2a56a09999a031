import { Module } from '@nestjs/common';
import { MailQueueService } from './mail-queue.service.js';
import { OutboxService } from './outbox.service.js';
import { OutgoingMailsRepository } from './outgoing-mails.repository.js';

/** Takes mails in the transaction of their cause. Loads nothing that renders or sends. */
@Module({
  providers: [MailQueueService, OutboxService, OutgoingMailsRepository],
  exports: [MailQueueService, OutboxService],
})
export class OutboxModule {}
