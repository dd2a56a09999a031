import { type DynamicModule, Module } from '@nestjs/common';
import { LimitsModule } from '../../limits/limits.module.js';
import type { MailConfig } from '../../platform/config/config.js';
import { OutboxModule } from '../../mail/outbox.module.js';
import { TicketsModule } from '../../tickets/tickets.module.js';
import { TokensModule } from '../../tokens/tokens.module.js';
import { UsersModule } from '../../users/users.module.js';
import { AccountsModule } from '../accounts/accounts.module.js';
import { AuthModule } from '../auth.module.js';
import { EmailSignInsController } from './email-sign-ins.controller.js';
import { EmailSignInsService } from './email-sign-ins.service.js';
import { ProvenRegistrationsController } from './proven-registrations.controller.js';
import { ProvenRegistrationsService } from './proven-registrations.service.js';
import { EmailChangesController } from './email-changes.controller.js';
import { EmailChangesService } from './email-changes.service.js';
import { EmailVerificationsController } from './email-verifications.controller.js';
import { EmailVerificationsService } from './email-verifications.service.js';
import { MailboxTicketsService } from './mailbox-tickets.service.js';
import { PasswordResetsController } from './password-resets.controller.js';
import { PasswordResetsService } from './password-resets.service.js';

/** What goes by mail, and what its links and codes are exchanged for. Loaded where mail is on. */
@Module({
  imports: [AccountsModule, AuthModule, LimitsModule, OutboxModule, TicketsModule, TokensModule, UsersModule],
  controllers: [PasswordResetsController, EmailChangesController, EmailVerificationsController],
  providers: [
    ProvenRegistrationsService,
    EmailSignInsService,
    EmailChangesService,
    EmailVerificationsService,
    MailboxTicketsService,
    PasswordResetsService,
  ],
})
export class MailboxModule {
  static forRoot(mail: MailConfig): DynamicModule {
    return {
      module: MailboxModule,
      controllers: [
        ...(mail.verification === 'required' ? [ProvenRegistrationsController] : []),
        ...(mail.signIn ? [EmailSignInsController] : []),
      ],
    };
  }
}
