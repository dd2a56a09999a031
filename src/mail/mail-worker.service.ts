import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { Clock } from '../platform/common/clock.js';
import { messageOf } from '../platform/common/message-of.js';
import { Periodic } from '../platform/common/periodic.js';
import { Config } from '../platform/config/config.js';
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

/** How many mails are under way at once: as many as there are connections to the SMTP server. */
const LANES = 2;

/** Together they are shorter than the lease of a claimed mail, which is a minute at least. */
const LATEST_BEGIN_MS = 20_000;
const LONGEST_DELIVERY_MS = 35_000;

/** Requests in flight have as long when the service stops. */
const LONGEST_STOP_MS = 10_000;

interface ClaimedMail {
  readonly mail: DueMail;
  readonly claimedAtMs: number;
}

/**
 * Sends what is in the outbox. Every instance does, and a mail is one instance's for as long as its lease lasts. At least
 * once: when the answer to a mail is lost, it is sent again, with the same `Message-ID`, link and code.
 */
@Injectable()
export class MailWorkerService implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(MailWorkerService.name);
  private readonly job = new Periodic(POLL_INTERVAL_MS, () => {
    this.look();
    return Promise.resolve();
  });
  private readonly host: string;
  private readonly accountUrl: string;
  private readonly claimed: ClaimedMail[] = [];
  private readonly lanes = new Set<Promise<void>>();
  private readonly stop = new AbortController();
  private stopTimer: NodeJS.Timeout | undefined;
  private looks = 0;
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
    this.outbox.onWake(() => {
      this.look();
    });
    this.job.start();
  }

  /** While the last requests are answered, the mails that are on their way are delivered. No other one begins. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    this.stopTimer = setTimeout(() => {
      this.stop.abort();
    }, LONGEST_STOP_MS);
    await this.job.stop();
  }

  /** What is not delivered in time another instance sends, or the next start. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.lanes);
    clearTimeout(this.stopTimer);
    this.transport.close();
  }

  /** Sends every mail that is due, and resolves when none is left. A failure is logged, and the next poll retries. */
  async sendDue(): Promise<void> {
    this.look();
    while (this.lanes.size > 0) {
      await Promise.all(this.lanes);
    }
  }

  /** A mail that hangs holds up its own lane only. */
  private look(): void {
    this.looks += 1;
    if (this.lanes.size < LANES && !this.isStopping) {
      const lane = this.sendAll().finally(() => this.lanes.delete(lane));
      this.lanes.add(lane);
    }
  }

  private async sendAll(): Promise<void> {
    try {
      for (let mail = await this.take(); mail !== undefined; mail = await this.take()) {
        await this.send(mail);
      }
    } catch (error) {
      // What is sent and not recorded is sent again.
      this.claimed.length = 0;
      this.logger.warn({
        event: 'mails_not_sent',
        msg: 'sending mails failed; will retry',
        reason: messageOf(error),
      });
    }
  }

  /** @returns undefined when no mail is due */
  private async take(): Promise<DueMail | undefined> {
    while (!this.isStopping) {
      const next = this.claimed.shift();
      if (next === undefined) {
        const { looks } = this;
        const claimedAtMs = this.clock.monotonicMs();
        const mails = await this.mails.claim(BATCH_SIZE);
        this.claimed.push(...mails.map((mail) => ({ mail, claimedAtMs })));
        if (mails.length > 1) {
          this.look();
        } else if (mails.length === 0 && looks === this.looks) {
          return undefined;
        }
      } else if (this.clock.monotonicMs() - next.claimedAtMs < LATEST_BEGIN_MS) {
        return next.mail;
      }
      // Any other one is left to its next attempt, which may be another instance's.
    }
    return undefined;
  }

  private async send(mail: DueMail): Promise<void> {
    const { id, template, recipient, locale, isExpired, lastError } = mail;
    if (recipient === null) {
      await this.mails.deleteMail(id);
      return;
    }
    if (isExpired) {
      await this.giveUp(mail, lastError === null ? 'expired' : `expired; ${lastError}`);
      return;
    }
    try {
      const rendered = await this.templates.render(template, locale ?? undefined, this.valuesOf(mail, recipient));
      await this.transport.deliver(
        { id, template, to: recipient, messageId: `<${id}@${this.host}>`, ...rendered },
        AbortSignal.any([this.stop.signal, AbortSignal.timeout(LONGEST_DELIVERY_MS)]),
      );
    } catch (error) {
      await (error instanceof MailRefusedError ? this.giveUp(mail, error.message) : this.delay(mail, messageOf(error)));
      return;
    }
    await this.mails.markSent(id);
    this.outbox.count('sent');
  }

  private async delay({ id, template }: DueMail, reason: string): Promise<void> {
    await this.mails.noteError(id, reason);
    this.outbox.count('delayed');
    this.logger.warn({ event: 'mail_delayed', msg: 'a mail was not taken; will retry', mail_id: id, template, reason });
  }

  private async giveUp({ id, template }: DueMail, reason: string): Promise<void> {
    await this.mails.markFailed(id, reason);
    this.outbox.count('failed');
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
