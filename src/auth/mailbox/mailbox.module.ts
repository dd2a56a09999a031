import { Module } from '@nestjs/common';
import { LimitsModule } from '../../limits/limits.module.js';
import { OutboxModule } from '../../mail/outbox.module.js';
import { TicketsModule } from '../../tickets/tickets.module.js';
import { TokensModule } from '../../tokens/tokens.module.js';
import { UsersModule } from '../../users/users.module.js';
import { AccountsModule } from '../accounts/accounts.module.js';
import { EmailChangesController } from './email-changes.controller.js';
import { EmailChangesService } from './email-changes.service.js';
import { EmailVerificationsController } from './email-verifications.controller.js';
import { EmailVerificationsService } from './email-verifications.service.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import { PasswordResetsController } from './password-resets.controller.js';
import { PasswordResetsService } from './password-resets.service.js';

@Module({
  imports: [AccountsModule, LimitsModule, OutboxModule, TicketsModule, TokensModule, UsersModule],
  controllers: [PasswordResetsController, EmailChangesController, EmailVerificationsController],
  providers: [EmailChangesService, EmailVerificationsService, MailboxTicketsService, PasswordResetsService],
})
export class MailboxModule {}
