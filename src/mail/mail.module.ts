import { Module } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { Config, type MailConfig } from '../platform/config/config.js';
import { TicketsModule } from '../tickets/tickets.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { DueMailsRepository } from './due-mails.repository.js';
import { FilesTransport } from './files.transport.js';
import { MailTemplatesService } from './mail-templates.service.js';
import { MailTransport } from './mail-transport.js';
import { MailWorkerService } from './mail-worker.service.js';
import { OutboxModule } from './outbox.module.js';
import { SmtpTransport } from './smtp.transport.js';

/** Sends the mails of the outbox. Loaded only when mail is on. */
@Module({
  imports: [OutboxModule, TicketsModule, TokensModule],
  providers: [
    DueMailsRepository,
    MailWorkerService,
    {
      provide: MailTransport,
      inject: [Config, Clock],
      useFactory: (config: Config, clock: Clock): MailTransport => {
        const { transport, from } = required(config.mail);
        return transport.kind === 'smtp'
          ? new SmtpTransport(transport.url, from)
          : new FilesTransport(transport.dir, from, clock);
      },
    },
    {
      provide: MailTemplatesService,
      inject: [Config],
      useFactory: async (config: Config): Promise<MailTemplatesService> => {
        const { from, accountUrl, locale, templatesDir, transport } = required(config.mail);
        const { host: accountHost } = new URL(accountUrl);
        const templates = new MailTemplatesService({ productName: from.name, accountHost, locale, templatesDir });
        if (transport.kind === 'smtp' || templatesDir !== undefined) {
          await templates.prepare();
        }
        return templates;
      },
    },
  ],
})
export class MailModule {}

function required(mail: Config['mail']): MailConfig {
  if (mail === undefined) {
    throw new Error('mail is off');
  }
  return mail;
}
