import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { Config } from '../platform/config/config.js';
import { TicketInvalidError } from '../tickets/tickets.errors.js';
import { TicketsService } from '../tickets/tickets.service.js';
import {
  type CodedPurpose,
  type FormOf,
  type Ticket,
  TICKET_FORMS,
  type TicketForm,
  type TicketPurpose,
} from '../tickets/tickets.types.js';
import { TombstoneCleanerService } from '../tokens/tombstone-cleaner.service.js';
import { type DueMail, DueMailsRepository } from './due-mails.repository.js';
import { MAIL_VALUES, type MailValueName, type MailValues } from './mail-templates.types.js';
import { MailTemplatesService } from './mail-templates.service.js';
import { MailRefusedError, MailTransport } from './mail-transport.js';
import { OutboxService } from './outbox.service.js';

const POLL_INTERVAL_MS = 5_000;
const BATCH_SIZE = 10;

/** As many as there are connections. */
const LANES = 2;

/** From then on, a claimed mail that has not begun is left to its next attempt: its lease is a minute. */
const LATEST_BEGIN_MS = 20_000;

/**
 * Sends what is in the outbox. Every instance does, and a mail is one instance's for as long as its lease lasts. At least
 * once: when the answer to a mail is lost, it is sent again, with the same `Message-ID`, link and code.
 */
@Injectable()
export class MailWorkerService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(MailWorkerService.name);
  private readonly job = new Periodic(POLL_INTERVAL_MS, () => this.sendDue());
  private readonly host: string;
  private readonly accountUrl: string;
  private running: Promise<void> | undefined;
  private isWanted = false;
  private isStopping = false;

  constructor(
    private readonly mails: DueMailsRepository,
    private readonly tickets: TicketsService,
    private readonly templates: MailTemplatesService,
    private readonly transport: MailTransport,
    private readonly clock: Clock,
    private readonly outbox: OutboxService,
    private readonly cleaner: TombstoneCleanerService,
    { accessTokens, mail }: Config,
  ) {
    this.host = new URL(accessTokens.issuer).hostname;
    this.accountUrl = mail?.accountUrl ?? accessTokens.issuer;
  }

  onApplicationBootstrap(): void {
    this.cleaner.alsoClean((transaction, batchSize) => this.mails.cleanUp(transaction, batchSize));
    this.outbox.onWake(() => void this.sendDue());
    this.job.start();
  }

  /** Waits for the mails that are on their way, at most as long as the time-outs of SMTP. */
  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    await this.job.stop();
    await this.running;
    this.transport.close();
  }

  /**
   * Sends every mail that is due, and resolves when none is left. A call during another one lets that look once more. A
   * failure is logged, and the next poll retries.
   */
  sendDue(): Promise<void> {
    this.isWanted = true;
    this.running ??= this.sendAll().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async sendAll(): Promise<void> {
    try {
      while (this.isWanted && !this.isStopping) {
        this.isWanted = false;
        const claimed = await this.mails.claim(BATCH_SIZE);
        this.isWanted ||= claimed.length === BATCH_SIZE;
        await this.sendBatch(claimed);
      }
    } catch (error) {
      this.logger.warn({
        event: 'mails_not_sent',
        msg: 'sending mails failed; will retry',
        reason: messageOf(error),
      });
    }
  }

  private async sendBatch(claimed: readonly DueMail[]): Promise<void> {
    const queue = [...claimed];
    const startedAtMs = this.clock.monotonicMs();
    const runLane = async (): Promise<void> => {
      for (let mail = queue.shift(); mail !== undefined && !this.isStopping; mail = queue.shift()) {
        if (this.clock.monotonicMs() - startedAtMs > LATEST_BEGIN_MS) {
          return;
        }
        try {
          await this.send(mail);
        } catch (error) {
          // What is sent and not recorded is sent again.
          queue.length = 0;
          throw error;
        }
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, runLane));
    const failed = lanes.find((lane) => lane.status === 'rejected');
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  private async send(mail: DueMail): Promise<void> {
    const { id, template, recipient, locale } = mail;
    if (recipient === null) {
      await this.mails.deleteMail(id);
      return;
    }
    if (mail.isExpired) {
      await this.giveUp(mail, 'expired');
      return;
    }
    try {
      const rendered = await this.templates.render(template, locale ?? undefined, this.valuesOf(mail, recipient));
      await this.transport.deliver({ id, template, to: recipient, messageId: `<${id}@${this.host}>`, ...rendered });
    } catch (error) {
      if (error instanceof MailRefusedError) {
        await this.giveUp(mail, error.message);
      } else if (error instanceof TicketInvalidError) {
        await this.giveUp(mail, 'expired');
      } else {
        const reason = messageOf(error);
        await this.mails.noteError(id, reason);
        this.logger.warn({
          event: 'mail_delayed',
          msg: 'a mail was not taken; will retry',
          mail_id: id,
          template,
          reason,
        });
      }
      return;
    }
    await this.mails.markSent(id);
  }

  private async giveUp({ id, template }: DueMail, reason: string): Promise<void> {
    await this.mails.markFailed(id, reason);
    this.logger.warn({ event: 'mail_failed', msg: 'a mail was given up', mail_id: id, template, reason });
  }

  /** Link and code are computed here, each time the same: no row has them. */
  private valuesOf(mail: DueMail, recipient: string): MailValues {
    const { template, params, ticketId, purpose, keyId, minutes } = mail;
    const wanted: readonly MailValueName[] = MAIL_VALUES[template];
    if (ticketId === null || purpose === null || keyId === null) {
      return { ...params, email: recipient };
    }
    const ticket: Ticket = { id: ticketId, purpose, keyId };
    return {
      ...params,
      email: recipient,
      ...(wanted.includes('minutes') && { minutes: minutes ?? 0 }),
      ...(wanted.includes('link') && {
        link: `${this.accountUrl}#${purpose}=${this.tickets.tokenOf(ticket, linkFormOf(purpose))}`,
      }),
      ...(wanted.includes('code') && { code: this.tickets.codeOf(ticket as Ticket<CodedPurpose>) }),
    };
  }
}

/** The form whose token is enough. */
function linkFormOf<Purpose extends TicketPurpose>(purpose: Purpose): FormOf<Purpose> {
  const forms = Object.keys(TICKET_FORMS) as TicketForm[];
  const form = forms.find((each) => TICKET_FORMS[each].purpose === purpose && TICKET_FORMS[each].needs === 'nothing');
  if (form === undefined) {
    throw new Error(`a ticket for ${purpose} has no link`);
  }
  return form as FormOf<Purpose>;
}
