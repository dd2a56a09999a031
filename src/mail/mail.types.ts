import type { Ticket } from '../tickets/tickets.types.js';
import type { MailTemplate } from './mail-templates.types.js';

export interface OutgoingMail {
  /** A random UUID that is made before the first attempt, so that a retry makes no second mail. */
  readonly id: string;
  readonly template: MailTemplate;
  /** A canonical address; undefined for nobody, which costs the same and sends nothing. */
  readonly recipient: string | undefined;
  /** BCP 47; undefined for `MAIL_LOCALE`. */
  readonly locale: string | undefined;
  /** Its link and its code are computed when the mail is sent. It must be issued in the same transaction or before. */
  readonly ticket?: Ticket;
  /** What the text says besides; nothing that lets in. */
  readonly params?: Readonly<Record<string, string | number>>;
}

/** What an attempt to send a mail ended in: it was taken, will be repeated, or was given up. */
export type MailOutcome = 'sent' | 'delayed' | 'failed';

export interface MailQueueState {
  readonly length: number;
  /** 0 when the queue is empty. */
  readonly oldestAgeSeconds: number;
}

/** A mail that has not been sent. */
export interface QueuedMail {
  readonly id: string;
  readonly template: string;
  readonly recipient: string;
  readonly createdAt: Date;
  readonly attempts: number;
  /** Undefined when it was given up. */
  readonly nextAttemptAt: Date | undefined;
  readonly failedAt: Date | undefined;
  readonly lastError: string | undefined;
}
